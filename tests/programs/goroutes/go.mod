module goroutes

go 1.19
