/* Prints the layout row of one Go program from its DWARF, for `make layouts` and its test:
 * layout_row PROGRAM MINOR ARCH. Exit status 1 with a line on stderr when a field is not there.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtimes/go/layout.h"

static int print_row(Dwarf *dwarf, const char *minor, const char *arch)
{
    struct ca_go_layout layout;
    struct ca_error *error = ca_go_layout_from_dwarf(dwarf, &layout);
    if (error) {
        fprintf(stderr, "layout_row: %s\n", error->message);
        ca_error_destroy(error);
        return 1;
    }
    printf("{%s,\n CA_ARCH_%s,\n {", minor, arch);
    for (int i = 0; i < GO_FIELD_COUNT; i++) {
        if (layout.at[i] == CA_LAYOUT_ABSENT)
            printf("ABSENT");
        else
            printf("%d", (int)layout.at[i]);
        printf("%s", i + 1 == GO_FIELD_COUNT ? "}},\n" : i % 12 == 11 ? ",\n  " : ", ");
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: layout_row PROGRAM MINOR ARCH\n");
        return 2;
    }
    int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    Dwarf *dwarf = fd < 0 ? NULL : dwarf_begin(fd, DWARF_C_READ);
    if (!dwarf) {
        fprintf(stderr, "layout_row: %s: no debug information can be read\n", argv[1]);
        return 1;
    }
    int status = print_row(dwarf, argv[2], argv[3]);
    dwarf_end(dwarf);
    close(fd);
    return status;
}
