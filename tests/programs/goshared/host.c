/* A C program with thread-locals of its own that loads a Go library: host LIBRARY. */
#include <dlfcn.h>
#include <stdio.h>

__thread char locals[96] = "thread-locals move the place where Go keeps its g";

int main(int argc, char **argv)
{
    void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
    void (*start)(int) = library ? (void (*)(int))dlsym(library, "Start") : NULL;
    void (*die)(void) = library ? (void (*)(void))dlsym(library, "Die") : NULL;
    if (!start || !die) {
        fprintf(stderr, "host: %s\n", dlerror());
        return 2;
    }
    locals[0] = 'T';
    start(20);
    die();
    return 0;
}
