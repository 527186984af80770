/*
 * What libevent's listener does while its process has no descriptors left: it calls back for as
 * long as a peer waits, as fast as the loop turns. The counterpart of tests/emfile.rs.
 *
 * Usage: emfile ROOM PEERS
 * Each peer is sent one byte. ROOM connections are kept; then the limit is reached. Two seconds
 * after the first error the kept ones are closed, and from then on each one at once.
 */
#include <arpa/inet.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static struct event_base *base;
static int peers, served, released;
static int *kept, kept_count;
static long errors;
static double cpu_at_first_error;

static double cpu_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
                          struct sockaddr *address, int length, void *arg)
{
    (void)listener, (void)address, (void)length, (void)arg;
    if (write(fd, "x", 1) != 1)
        exit(2);
    if (released)
        close(fd);
    else
        kept[kept_count++] = fd;
    if (++served == peers)
        event_base_loopbreak(base);
}

static void on_release(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    printf("child: window %ld %.3f\n", errors, cpu_seconds() - cpu_at_first_error);
    released = 1;
    while (kept_count > 0)
        close(kept[--kept_count]);
}

static void on_error(struct evconnlistener *listener, void *arg)
{
    const struct timeval two_seconds = {2, 0};
    (void)listener, (void)arg;
    if (errors++ > 0)
        return;
    printf("child: full %d\n", kept_count);
    cpu_at_first_error = cpu_seconds();
    event_base_once(base, -1, EV_TIMEOUT, on_release, NULL, &two_seconds);
}

static void leave_room_for(int count)
{
    struct rlimit limit;
    int next = dup(0); /* the lowest number that is free, and all above it are, too */
    close(next);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = next + count;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        exit(2);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    struct evconnlistener *listener;

    if (argc != 3)
        return 2;
    alarm(60); /* nobody waits for it for that long */
    setvbuf(stdout, NULL, _IOLBF, 0);
    peers = atoi(argv[2]);
    kept = calloc(peers, sizeof *kept);
    base = event_base_new();
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = evconnlistener_new_bind(base, on_connection, NULL, LEV_OPT_CLOSE_ON_FREE, -1,
                                       (struct sockaddr *)&address, sizeof address);
    if (!kept || !listener)
        return 2;
    evconnlistener_set_error_cb(listener, on_error);
    getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &length);
    leave_room_for(atoi(argv[1]));
    printf("child: version libevent %s\n", event_get_version());
    printf("child: listening 127.0.0.1:%d\n", ntohs(address.sin_port));

    event_base_dispatch(base);
    printf("child: ended %d %ld\n", served, errors);
    evconnlistener_free(listener);
    event_base_free(base);
    free(kept);
    return 0;
}
