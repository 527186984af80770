/* An echo server that serves all of its clients at a time, in a loop around poll. Where it listens is looked up.
 *
 *     $WASI_SDK_PATH/bin/clang --target=wasm32-wasip2 -O2 main.c -o poll.wasm
 */

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT "7000"
#define MOST 64

struct client {
  char buffer[4096];
  ssize_t count, sent;
};

static struct pollfd polled[MOST];
static struct client clients[MOST];
static nfds_t count;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void add(int socket, short events) {
  int on = 1;
  if (ioctl(socket, FIONBIO, &on) < 0)
    fail("ioctl");
  polled[count] = (struct pollfd){.fd = socket, .events = events};
  clients[count] = (struct client){.count = 0};
  count++;
}

static void listen_on(const char *port) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
  int error = getaddrinfo(NULL, port, &hints, &found);
  if (error != 0) {
    fprintf(stderr, "getaddrinfo: %s\n", gai_strerror(error));
    exit(1);
  }
  int listener = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
  if (listener < 0)
    fail("socket");
  if (bind(listener, found->ai_addr, found->ai_addrlen) < 0)
    fail("bind");
  if (listen(listener, SOMAXCONN) < 0)
    fail("listen");
  freeaddrinfo(found);
  add(listener, POLLIN);
}

static void accept_one(void) {
  int socket = accept(polled[0].fd, NULL, NULL);
  if (socket >= 0)
    add(socket, POLLIN);
  else if (errno != EAGAIN)
    fail("accept");
}

/* Returns whether there will be more to do. */
static int serve(int socket, short *events, struct client *client) {
  if (*events == POLLIN) {
    client->count = recv(socket, client->buffer, sizeof client->buffer, 0);
    client->sent = 0;
    if (client->count < 0)
      return errno == EAGAIN;
    if (client->count == 0)
      return 0;
  }
  ssize_t sent = send(socket, client->buffer + client->sent, client->count - client->sent, 0);
  if (sent < 0 && errno != EAGAIN)
    return 0;
  client->sent += sent > 0 ? sent : 0;
  *events = client->sent == client->count ? POLLIN : POLLOUT;
  return 1;
}

int main(void) {
  listen_on(PORT);
  for (;;) {
    /* No more than it has room for. */
    polled[0].events = count < MOST ? POLLIN : 0;
    if (poll(polled, count, 1000) < 0)
      fail("poll");
    nfds_t kept = 1;
    for (nfds_t place = 1; place < count; place++) {
      if (polled[place].revents && !serve(polled[place].fd, &polled[place].events, &clients[place])) {
        close(polled[place].fd);
        continue;
      }
      if (kept != place) {
        polled[kept] = polled[place];
        clients[kept] = clients[place];
      }
      kept++;
    }
    count = kept;
    if (polled[0].revents & POLLIN)
      accept_one();
  }
}
