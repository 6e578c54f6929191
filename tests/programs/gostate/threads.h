/* Starts count threads that wait, writes a byte to the descriptor, and sleeps. */
void run_threads(int count, int ready);
