module gomemory

go 1.19
