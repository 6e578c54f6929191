module layoutprogram

go 1.19
