module gohands

go 1.19
