module gomarks

go 1.19
