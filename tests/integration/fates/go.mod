module fates

go 1.19
