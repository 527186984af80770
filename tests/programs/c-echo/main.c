/* An echo server of BSD sockets: it serves one client after the other.
 *
 *     $WASI_SDK_PATH/bin/clang --target=wasm32-wasip2 -O2 main.c -o echo.wasm
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 7000

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int listen_on(unsigned short port) {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (listener < 0)
    fail("socket");
  int on = 1;
  if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
    fail("setsockopt");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY)};
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0)
    fail("bind");
  if (listen(listener, SOMAXCONN) < 0)
    fail("listen");
  return listener;
}

/* Returns 0 if all of it was sent. */
static int send_all(int client, const char *bytes, ssize_t count) {
  while (count > 0) {
    ssize_t sent = send(client, bytes, count, 0);
    if (sent < 0)
      return -1;
    bytes += sent;
    count -= sent;
  }
  return 0;
}

static void echo(int client) {
  char buffer[4096];
  ssize_t received;
  while ((received = recv(client, buffer, sizeof buffer, 0)) > 0) {
    if (send_all(client, buffer, received) < 0)
      break;
  }
}

int main(void) {
  int listener = listen_on(PORT);
  for (;;) {
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    int client = accept(listener, (struct sockaddr *)&peer, &length);
    if (client < 0)
      fail("accept");
    char name[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &peer.sin_addr, name, sizeof name);
    printf("client %s:%d\n", name, ntohs(peer.sin_port));
    fflush(stdout);
    echo(client);
    close(client);
  }
}
