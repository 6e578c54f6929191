module gopth

go 1.19
