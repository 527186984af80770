/* The echo server of libevent's manual, chapter R8: a bufferevent for each connection, all in one
 * thread. It differs from the manual's in four ways, so that it can be measured beside others: the
 * kernel chooses its port, and it prints its address; its queue of connections is as long as theirs;
 * and it prints its version if it is asked to. */

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BACKLOG 4096

static void echo_read_cb(struct bufferevent *bev, void *ctx)
{
	/* This callback is invoked when there is data to read on bev. */
	struct evbuffer *input = bufferevent_get_input(bev);
	struct evbuffer *output = bufferevent_get_output(bev);

	(void)ctx;
	/* Copy all the data from the input buffer to the output buffer. */
	evbuffer_add_buffer(output, input);
}

static void echo_event_cb(struct bufferevent *bev, short events, void *ctx)
{
	(void)ctx;
	if (events & BEV_EVENT_ERROR)
		perror("Error from bufferevent");
	if (events & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		bufferevent_free(bev);
}

static void accept_conn_cb(struct evconnlistener *listener, evutil_socket_t fd,
			   struct sockaddr *address, int socklen, void *ctx)
{
	/* We got a new connection! Set up a bufferevent for it. */
	struct event_base *base = evconnlistener_get_base(listener);
	struct bufferevent *bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);

	(void)address;
	(void)socklen;
	(void)ctx;
	bufferevent_setcb(bev, echo_read_cb, NULL, echo_event_cb, NULL);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static void accept_error_cb(struct evconnlistener *listener, void *ctx)
{
	struct event_base *base = evconnlistener_get_base(listener);
	int err = EVUTIL_SOCKET_ERROR();

	(void)ctx;
	fprintf(stderr, "Got an error %d (%s) on the listener. Shutting down.\n", err,
		evutil_socket_error_to_string(err));
	event_base_loopexit(base, NULL);
}

static int announce(struct evconnlistener *listener)
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);

	if (getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &length) != 0)
		return -1;
	printf("Listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
	return fflush(stdout);
}

int main(int argc, char **argv)
{
	struct event_base *base;
	struct evconnlistener *listener;
	struct sockaddr_in address;

	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		printf("%s\n", event_get_version());
		return 0;
	}
	base = event_base_new();
	if (!base) {
		puts("Couldn't open event base");
		return 1;
	}
	memset(&address, 0, sizeof(address));
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = evconnlistener_new_bind(base, accept_conn_cb, NULL,
					   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, BACKLOG,
					   (struct sockaddr *)&address, sizeof(address));
	if (!listener) {
		perror("Couldn't create listener");
		return 1;
	}
	evconnlistener_set_error_cb(listener, accept_error_cb);
	if (announce(listener) != 0) {
		perror("Couldn't say where it listens");
		return 1;
	}
	event_base_dispatch(base);
	return 0;
}
