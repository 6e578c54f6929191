module retained

go 1.19
