module golocks

go 1.19
