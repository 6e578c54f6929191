// Every request asks three backends and takes the first answer. The others wait to send theirs, to
// a channel that nobody receives from any more. Repaired: the channel has room for all answers.
//
// expect: count=1200 reason="chan send" verdict=suspect rule=threshold threshold=1000 final=leaked
//     pattern=forgotten-sender site=backend
// account: leak=1201 repaired=1
#include "sample.h"

static void backend(void *answers)
{
    int answer = 42;

    ABOUT_TO(backend, "chan send", answers);
    co_send(answers, &answer);
    sample_done();
}

static void requests(size_t room)
{
    for (int i = 0; i < SAMPLE_TASKS / 2; i++) {
        struct co_chan *answers = co_chan_create(sizeof(int), room);
        int first;

        for (int k = 0; k < 3; k++)
            co_spawn(backend, answers, "backend");
        co_receive(answers, &first);
    }
}

static void leak(void)
{
    requests(0);
}

static void repaired(void)
{
    requests(3);
}

SAMPLE_MAIN
