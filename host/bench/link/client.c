// Clients of a TCP server: a thread with blocking sockets for each connection.
//
//     client MODE ADDRESS PORT CONNECTIONS SECONDS [PROLOGUE REQUEST REPLY_SIZE]
//
// PROLOGUE and REQUEST are hexadecimal, `-` for none. MODE:
//     connect  connects, sends the request, reads the reply, ends its side, reads the end, again and again
//     round    sends the request and reads the reply, again and again, on each connection
//     bulk     writes and reads at the same time, on each connection (prologue only)
//     crowd    sends the request, then reads what there is, again and again: operations are REPLY_SIZE bytes each
//     hold     sends the prologue, and nothing else, until a line comes on standard input
// It prints `ready` when all are connected, begins when a line comes on standard input, and prints
// operations (bytes for bulk), seconds, and the 50th and 99th percentile of an operation in microseconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_LAPS = 100000, PIECE = 65536 };

static const char *mode;
static struct sockaddr_in server;
static char prologue[4096], request[65536];
static size_t prologue_size, request_size, reply_size = 64;
static double seconds;
static int64_t end_at;
static pthread_barrier_t connected, begun;

struct client {
    pthread_t thread;
    int socket;
    unsigned long operations;
    size_t laps;
    float *lap;
};

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static size_t parse(const char *hex, char *bytes, size_t most) {
    size_t size = 0;
    unsigned byte;
    for (; *hex && *hex != '-' && size < most; hex += 2) {
        if (sscanf(hex, "%2x", &byte) != 1) fail("hexadecimal");
        bytes[size++] = byte;
    }
    return size;
}

static int open_one(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0) fail("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&server, sizeof server)) fail("connect");
    return fd;
}

static void send_all(int fd, const char *bytes, size_t size) {
    while (size) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0) fail("send");
        bytes += sent;
        size -= sent;
    }
}

static void receive(int fd, size_t size) {
    char buffer[PIECE];
    while (size) {
        ssize_t received = recv(fd, buffer, size < sizeof buffer ? size : sizeof buffer, 0);
        if (received < 0) fail("recv");
        if (!received) {
            fprintf(stderr, "the server has ended the connection\n");
            exit(1);
        }
        size -= received;
    }
}

static void *send_bulk(void *argument) {
    struct client *client = argument;
    static const char bytes[4 * PIECE];
    while (now() < end_at) send_all(client->socket, bytes, sizeof bytes);
    shutdown(client->socket, SHUT_WR);
    return NULL;
}

static void receive_bulk(struct client *client) {
    char *buffer = malloc(4 * PIECE);
    for (;;) {
        ssize_t received = recv(client->socket, buffer, 4 * PIECE, 0);
        if (received < 0) fail("recv");
        if (!received) break;
        client->operations += received;
    }
    free(buffer);
}

static void operate(struct client *client) {
    if (!strcmp(mode, "crowd")) {
        char buffer[PIECE];
        send_all(client->socket, request, request_size);
        ssize_t received = recv(client->socket, buffer, sizeof buffer, 0);
        if (received <= 0) fail("recv");
        client->operations += received;
        return;
    }
    if (!strcmp(mode, "connect")) client->socket = open_one();
    send_all(client->socket, request, request_size);
    receive(client->socket, reply_size);
    if (!strcmp(mode, "connect")) {
        char byte;
        shutdown(client->socket, SHUT_WR);
        if (recv(client->socket, &byte, 1, 0) < 0) fail("recv");
        close(client->socket);
    }
    client->operations++;
}

static void *run(void *argument) {
    struct client *client = argument;
    if (strcmp(mode, "connect")) {
        client->socket = open_one();
        send_all(client->socket, prologue, prologue_size);
        // So that the server has an instance for it.
        if (!strcmp(mode, "round")) {
            send_all(client->socket, request, request_size);
            receive(client->socket, reply_size);
        }
    }
    pthread_barrier_wait(&connected);
    pthread_barrier_wait(&begun);
    if (!strcmp(mode, "hold")) return NULL;
    if (!strcmp(mode, "bulk")) {
        pthread_t sender;
        if (pthread_create(&sender, NULL, send_bulk, client)) fail("pthread_create");
        receive_bulk(client);
        pthread_join(sender, NULL);
        return NULL;
    }
    int64_t start = now();
    while (start < end_at) {
        operate(client);
        int64_t time = now();
        client->lap[client->laps++ % MOST_LAPS] = (time - start) / 1000.0;
        start = time;
    }
    return NULL;
}

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void report(struct client *clients, int count, double elapsed) {
    unsigned long operations = 0;
    size_t laps = 0;
    for (int i = 0; i < count; i++) {
        if (clients[i].laps > MOST_LAPS) clients[i].laps = MOST_LAPS;
        operations += clients[i].operations;
        laps += clients[i].laps;
    }
    float *all = malloc((laps + 1) * sizeof *all);
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        memcpy(all + size, clients[i].lap, clients[i].laps * sizeof *all);
        size += clients[i].laps;
    }
    qsort(all, size, sizeof *all, compare);
    if (!strcmp(mode, "crowd")) operations /= reply_size;
    printf("%lu %.6f %.1f %.1f\n", operations, elapsed, size ? all[size / 2] : 0.0, size ? all[size * 99 / 100] : 0.0);
    fflush(stdout);
}

int main(int count, char **arguments) {
    if (count < 6) {
        fprintf(stderr, "usage: client MODE ADDRESS PORT CONNECTIONS SECONDS [PROLOGUE REQUEST REPLY_SIZE]\n");
        return 2;
    }
    mode = arguments[1];
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(arguments[3]))};
    inet_pton(AF_INET, arguments[2], &server.sin_addr);
    int connections = atoi(arguments[4]);
    seconds = atof(arguments[5]);
    if (count > 6) prologue_size = parse(arguments[6], prologue, sizeof prologue);
    if (count > 7) request_size = parse(arguments[7], request, sizeof request);
    if (count > 8) reply_size = atol(arguments[8]);
    pthread_barrier_init(&connected, NULL, connections + 1);
    pthread_barrier_init(&begun, NULL, connections + 1);
    struct client *clients = calloc(connections, sizeof *clients);
    for (int i = 0; i < connections; i++) {
        clients[i].lap = malloc(MOST_LAPS * sizeof(float));
        if (pthread_create(&clients[i].thread, NULL, run, &clients[i])) fail("pthread_create");
    }
    pthread_barrier_wait(&connected);
    puts("ready");
    fflush(stdout);
    getchar();
    int64_t start = now();
    end_at = start + (int64_t)(seconds * 1e9);
    pthread_barrier_wait(&begun);
    for (int i = 0; i < connections; i++) pthread_join(clients[i].thread, NULL);
    report(clients, connections, (now() - start) / 1e9);
    getchar();
    return 0;
}
