/*
 * What libevent's thread-safe listener does when its callback has another thread disable it, and
 * waits for that thread. The listener's lock is not held during the callback, but event_del, by
 * which the other thread disables, waits until the callback that is running has returned: neither
 * goes on. The counterpart of tests/disable_in_thread.rs.
 *
 * Usage: disable_in_thread ROUNDS
 */
#include <arpa/inet.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/thread.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int round_number;

static void *disable(void *listener)
{
    evconnlistener_disable(listener);
    return NULL;
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
                          struct sockaddr *address, int length, void *arg)
{
    pthread_t thread;
    (void)address, (void)length, (void)arg;
    close(fd);
    if (pthread_create(&thread, NULL, disable, listener) != 0)
        exit(2);
    pthread_join(thread, NULL);
}

/* A round that takes three seconds takes for ever. It hangs in pthread_join, not in stdio. */
static void on_alarm(int signal)
{
    (void)signal;
    printf("child: ended hung in round %d\n", round_number);
    fflush(stdout);
    _exit(0);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    struct event_base *base;
    struct evconnlistener *listener;
    int rounds, peer;

    if (argc != 2)
        return 2;
    rounds = atoi(argv[1]);
    signal(SIGALRM, on_alarm);
    evthread_use_pthreads();
    base = event_base_new();
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = evconnlistener_new_bind(base, on_connection, NULL,
                                       LEV_OPT_CLOSE_ON_FREE | LEV_OPT_THREADSAFE, -1,
                                       (struct sockaddr *)&address, sizeof address);
    if (!listener)
        return 2;
    getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &length);
    printf("child: version libevent %s\n", event_get_version());

    for (round_number = 1; round_number <= rounds; round_number++) {
        alarm(3);
        evconnlistener_enable(listener);
        peer = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(peer, (struct sockaddr *)&address, sizeof address) != 0)
            return 2;
        event_base_loop(base, EVLOOP_ONCE);
        close(peer);
    }
    alarm(0);
    printf("child: ended %d rounds\n", rounds);
    evconnlistener_free(listener);
    event_base_free(base);
    return 0;
}
