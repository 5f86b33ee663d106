// bench-writer: the least that can stand behind nginx and deliver server-sent events.
//
// It listens on a Unix socket. A GET becomes a subscriber and gets the head of an event stream and a control
// event; the body of a POST goes to all subscribers as the same bytes that the server sends for an append of it, each
// with one send(2), and the POST is answered 204 behind that. Nothing is stored, unless a file is named: then each body is
// written and fdatasync'ed there before anybody gets it. A subscriber whose socket is full has its events kept for it.
//
// usage: bench-writer SOCKET [FILE]

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SYNCED = 16 << 20, BATCH = 512, REQUEST = 80 * 1024, EVENT = 160 * 1024 };

struct connection {
    int descriptor;
    /// Place among the subscribers; -1: it is none.
    int place;
    /// Bytes of a request that has not come whole; NULL: none.
    char *request;
    size_t received;
    /// Bytes that the socket has not taken.
    char *unsent;
    size_t unsentLength;
};

static int poller;
/// As the server's log it has its length already: what makes a file longer is synced twice, its length too.
static int syncFile = -1;
static off_t syncPosition;
static struct connection **subscribers;
static int subscriberCount, subscriberRoom;
static unsigned long long position;

static void fail(const char *what) {
    perror(what);
    exit(2);
}

static void watch(struct connection *connection, int operation, unsigned events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(poller, operation, connection->descriptor, &event) != 0) fail("epoll_ctl");
}

static void end(struct connection *connection) {
    if (connection->place >= 0) {
        struct connection *last = subscribers[--subscriberCount];
        subscribers[connection->place] = last;
        last->place = connection->place;
    }
    close(connection->descriptor);
    free(connection->request);
    free(connection->unsent);
    free(connection);
}

/// Sends, and keeps what the socket does not take. A failed connection is found by epoll.
static void deliver(struct connection *connection, const char *bytes, size_t length) {
    if (connection->unsentLength == 0) {
        ssize_t sent = send(connection->descriptor, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent == (ssize_t)length) return;
        if (sent < 0 && errno != EAGAIN && errno != EINTR) return;
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        }
        watch(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    char *grown = realloc(connection->unsent, connection->unsentLength + length);
    if (grown == NULL) fail("realloc");
    memcpy(grown + connection->unsentLength, bytes, length);
    connection->unsent = grown;
    connection->unsentLength += length;
}

static void drain(struct connection *connection) {
    ssize_t sent = send(
        connection->descriptor, connection->unsent, connection->unsentLength, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return;
    connection->unsentLength -= (size_t)sent;
    memmove(connection->unsent, connection->unsent + sent, connection->unsentLength);
    if (connection->unsentLength == 0) watch(connection, EPOLL_CTL_MOD, EPOLLIN);
}

static size_t control(char *output, size_t room) {
    return (size_t)snprintf(
        output, room,
        "event: control\ndata:{\"streamNextOffset\":\"%016d_%016llu\",\"streamCursor\":\"3351452\","
        "\"upToDate\":true}\n\n",
        1, position);
}

static void subscribe(struct connection *connection) {
    static char answer[1024];
    size_t length = (size_t)snprintf(
        answer, sizeof answer,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
        "X-Accel-Buffering: no\r\nConnection: close\r\n\r\n");
    length += control(answer + length, sizeof answer - length);
    if (subscriberCount == subscriberRoom) {
        subscriberRoom = subscriberRoom == 0 ? 1024 : 2 * subscriberRoom;
        subscribers = realloc(subscribers, (size_t)subscriberRoom * sizeof *subscribers);
        if (subscribers == NULL) fail("realloc");
    }
    connection->place = subscriberCount;
    subscribers[subscriberCount++] = connection;
    free(connection->request);
    connection->request = NULL;
    deliver(connection, answer, length);
}

/// The events of an append: a line of its own for each line of the body, and the one behind its last line feed.
static void publish(const char *body, size_t length) {
    static char event[EVENT];
    if (syncFile >= 0) {
        if (syncPosition + (off_t)length > SYNCED) syncPosition = 0;
        if (pwrite(syncFile, body, length, syncPosition) != (ssize_t)length || fdatasync(syncFile) != 0) {
            fail("fdatasync");
        }
        syncPosition += (off_t)length;
    }
    size_t used = (size_t)sprintf(event, "event: data\ndata:");
    for (size_t index = 0; index < length && used < sizeof event - 512; index++) {
        event[used++] = body[index];
        if (body[index] == '\n') used += (size_t)sprintf(event + used, "data:");
    }
    event[used++] = '\n';
    event[used++] = '\n';
    position += length;
    used += control(event + used, sizeof event - used);
    for (int index = 0; index < subscriberCount; index++) deliver(subscribers[index], event, used);
}

/// Takes a whole request off the front of what has come, if there is one.
static void serve(struct connection *connection) {
    static const char answer[] = "HTTP/1.1 204 No Content\r\n\r\n";
    connection->request[connection->received] = 0;
    char *head = strstr(connection->request, "\r\n\r\n");
    if (head == NULL) return;
    size_t size = (size_t)(head - connection->request) + 4;
    if (strncmp(connection->request, "GET ", 4) == 0) return subscribe(connection);
    char *field = strcasestr(connection->request, "\r\ncontent-length:");
    size_t length = field == NULL || field > head ? 0 : strtoul(field + 17, NULL, 10);
    if (connection->received < size + length) return;
    publish(connection->request + size, length);
    connection->received -= size + length;
    memmove(connection->request, connection->request + size + length, connection->received);
    deliver(connection, answer, sizeof answer - 1);
}

/// Whether the connection is still open.
static int receive(struct connection *connection) {
    static char ignored[4096];
    if (connection->place >= 0) {
        ssize_t count = recv(connection->descriptor, ignored, sizeof ignored, MSG_DONTWAIT);
        return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
    }
    if (connection->request == NULL) connection->request = malloc(REQUEST + 1);
    if (connection->request == NULL || connection->received == REQUEST) return 0;
    ssize_t count = recv(
        connection->descriptor, connection->request + connection->received, REQUEST - connection->received,
        MSG_DONTWAIT);
    if (count <= 0) return count < 0 && (errno == EAGAIN || errno == EINTR);
    connection->received += (size_t)count;
    serve(connection);
    return 1;
}

static int listenAt(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "bench-writer: the path of the socket is too long\n");
        exit(2);
    }
    strcpy(address.sun_path, path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) fail("socket");
    unlink(path);
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
    // nginx's workers may run as somebody else.
    if (chmod(path, 0666) != 0 || listen(descriptor, 4096) != 0) fail("listen");
    return descriptor;
}

static void acceptAll(int listener) {
    for (;;) {
        int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0) return;
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL) fail("calloc");
        connection->descriptor = descriptor;
        connection->place = -1;
        watch(connection, EPOLL_CTL_ADD, EPOLLIN);
    }
}

int main(int count, char **arguments) {
    if (count < 2 || count > 3) {
        fprintf(stderr, "usage: bench-writer SOCKET [FILE]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    if (count == 3) {
        static char zeros[SYNCED];
        syncFile = open(arguments[2], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (syncFile < 0 || write(syncFile, zeros, SYNCED) != SYNCED || fsync(syncFile) != 0) fail(arguments[2]);
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0) fail("epoll_create1");
    int listener = listenAt(arguments[1]);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) != 0) fail("epoll_ctl");
    static struct epoll_event events[BATCH];
    for (;;) {
        int ready = epoll_wait(poller, events, BATCH, -1);
        for (int index = 0; index < ready; index++) {
            struct connection *connection = events[index].data.ptr;
            if (connection == NULL) {
                acceptAll(listener);
                continue;
            }
            if (events[index].events & EPOLLOUT) drain(connection);
            if (events[index].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !receive(connection)) end(connection);
        }
    }
}
