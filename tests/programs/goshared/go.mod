module goshared

go 1.19
