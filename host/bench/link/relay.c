// A link with a delay: two TUN devices, and a thread for each direction that passes packets on.
//
//     relay DELAY_US NAME_A NAME_B
//
// The devices are to be moved to network namespaces of their own; they stay the relay's. Packets are as
// large as the kernel's segmentation offload makes them (64 KiB), as with a network card, so that the relay does
// not bound the throughput. Each direction looks for packets every 50 us, as a card that moderates its interrupts
// does: a sender wakes nobody. The threads have a real-time priority, since a network does not wait for a core.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST = 70000, MODERATION_NS = 50000, IDLE_ROUNDS = 400 };

struct packet {
    struct packet *next;
    int64_t due;
    size_t size;
    char bytes[];
};

struct direction {
    int from, to;
    unsigned long packets, bytes, failed, longest, late_us;
};

static int64_t delay_ns;
static struct direction directions[2];

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int open_tun(const char *name) {
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (fd < 0) fail("/dev/net/tun");
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(fd, TUNSETIFF, &request)) fail("TUNSETIFF");
    if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)) fail("TUNSETOFFLOAD");
    return fd;
}

static void sleep_until(int64_t at) {
    struct timespec t = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void *pass(void *argument) {
    struct direction *direction = argument;
    struct packet *first = NULL, **last = &first;
    static __thread char buffer[LARGEST];
    unsigned long queued = 0;
    int idle = 0;
    prctl(PR_SET_TIMERSLACK, 1);
    struct sched_param priority = {.sched_priority = 10};
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
    for (;;) {
        int64_t time = now();
        for (;;) {
            ssize_t size = read(direction->from, buffer, sizeof buffer);
            if (size < 0) break;
            idle = 0;
            struct packet *packet = malloc(sizeof *packet + size);
            if (!packet) fail("malloc");
            *packet = (struct packet){.due = time + delay_ns, .size = size};
            memcpy(packet->bytes, buffer, size);
            *last = packet;
            last = &packet->next;
            direction->packets++;
            direction->bytes += size;
            if (++queued > direction->longest) direction->longest = queued;
        }
        time = now();
        while (first && first->due <= time) {
            struct packet *packet = first;
            first = packet->next;
            if (!first) last = &first;
            queued--;
            unsigned long late = (time - packet->due) / 1000;
            if (late > direction->late_us) direction->late_us = late;
            if (write(direction->to, packet->bytes, packet->size) < 0) direction->failed++;
            free(packet);
        }
        if (!first && ++idle > IDLE_ROUNDS) {
            struct pollfd readable = {.fd = direction->from, .events = POLLIN};
            poll(&readable, 1, -1);
        } else {
            sleep_until(now() + MODERATION_NS);
        }
    }
    return NULL;
}

static void report(int signal) {
    (void)signal;
    for (int i = 0; i < 2; i++)
        printf("%lu packets %lu bytes, %lu failed, at most %lu queued, at most %lu us late\n", directions[i].packets,
               directions[i].bytes, directions[i].failed, directions[i].longest, directions[i].late_us);
    fflush(stdout);
    _exit(0);
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "usage: relay DELAY_US NAME_A NAME_B\n");
        return 2;
    }
    delay_ns = atoll(arguments[1]) * 1000;
    int a = open_tun(arguments[2]), b = open_tun(arguments[3]);
    directions[0] = (struct direction){.from = a, .to = b};
    directions[1] = (struct direction){.from = b, .to = a};
    signal(SIGTERM, report);
    puts("ready");
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, pass, &directions[i])) fail("pthread_create");
    }
    for (;;) pause();
}
