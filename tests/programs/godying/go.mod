module godying

go 1.19
