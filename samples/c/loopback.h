/* Connections of a sample server with itself. Plain system calls, for any runtime. */
#ifndef LOOPBACK_H
#define LOOPBACK_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

static inline void loopback_check(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(2);
    }
}

/* Listens on 127.0.0.1, on a port that the kernel chooses. Raises the limit of descriptors. */
static inline int loopback_listen(void)
{
    struct sockaddr_in address;
    struct rlimit limit;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    loopback_check(fd, "socket");
    loopback_check(bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind");
    loopback_check(listen(fd, 128), "listen");
    return fd;
}

/* Connects to a socket that listens. Returns the client's end. */
static inline int loopback_connect(int listening)
{
    struct sockaddr_in address;
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    loopback_check(fd, "socket");
    loopback_check(getsockname(listening, (struct sockaddr *)&address, &size), "getsockname");
    loopback_check(connect(fd, (struct sockaddr *)&address, size), "connect");
    return fd;
}

#endif
