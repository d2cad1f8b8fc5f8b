/* Waits for ever and reaps whatever is orphaned: the first process of each pod's sandbox, and of the node itself. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    /* A blocked signal reaches the first process of a namespace even where its default would be ignored. */
    sigprocmask(SIG_BLOCK, &signals, 0);
    for (;;) {
        int got = 0;
        sigwait(&signals, &got);
        if (got != SIGCHLD)
            return 0;
        while (waitpid(-1, 0, WNOHANG) > 0)
            ;
    }
}
