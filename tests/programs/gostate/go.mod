module gostate

go 1.18
