module gofresh

go 1.19
