module goholders

go 1.19
