module godeadlines

go 1.19
