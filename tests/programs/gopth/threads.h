/* Runs GNU Pth on the calling OS thread and never returns. Starts count threads that park in one of
 * three ways; when they have, it prints them and writes a byte to fd.
 * Then it waits too, or, busy, computes. */
void run_threads(int count, int fd, int busy);
