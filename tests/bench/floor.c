/* The floor: the least that an echo over TCP or UDP can cost. One thread, an
 * edge-triggered epoll loop, one 64 KiB buffer for all, nothing else: no limits,
 * no records, no store.
 *
 *   floor stream [SUFFIX]     the listener is descriptor 3
 *   floor line SUFFIX         the same, with the suffix before the final newline
 *   floor datagram            the socket is descriptor 3; the answer leaves
 *                             from the address that was asked (IP_PKTINFO)
 *   floor batch               the same, sixteen datagrams in a call
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTENER = 3, BUFFER = 65536, EVENTS = 256, CONNECTIONS = 65536, BATCH = 16 };

/* What a peer has not taken yet; only then is there anything to remember. */
struct owed {
    size_t length, given;
    char bytes[];
};

static struct owed *owed[CONNECTIONS];
static char buffer[BUFFER + 256];
static const char *suffix = "";
static size_t suffix_length;
static int is_line;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void end(int fd) {
    free(owed[fd]);
    owed[fd] = NULL;
    close(fd);
}

/* Gives what is owed. 0: the peer does not take it now; -1: it is gone. */
static int go_on(int fd) {
    struct owed *rest = owed[fd];
    if (!rest) return 1;
    while (rest->given < rest->length) {
        ssize_t n = send(fd, rest->bytes + rest->given, rest->length - rest->given, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN ? 0 : -1;
        rest->given += n;
    }
    free(rest);
    owed[fd] = NULL;
    return 1;
}

static void serve(int fd) {
    int state = go_on(fd);
    while (state > 0) {
        ssize_t taken = recv(fd, buffer, BUFFER, 0);
        if (taken < 0 && errno == EAGAIN) return;
        if (taken <= 0) return end(fd);
        memcpy(buffer + taken - is_line, suffix, suffix_length);
        size_t length = taken + suffix_length;
        if (is_line) buffer[length - 1] = '\n';
        ssize_t given = send(fd, buffer, length, MSG_NOSIGNAL);
        if (given < 0 && errno != EAGAIN) return end(fd);
        if (given < 0) given = 0;
        if ((size_t)given < length) {
            owed[fd] = malloc(sizeof **owed + length - given);
            if (!owed[fd]) fail("malloc");
            owed[fd]->length = length - given;
            owed[fd]->given = 0;
            memcpy(owed[fd]->bytes, buffer + given, length - given);
            state = go_on(fd);
        } else if (taken < BUFFER) {
            return;
        }
    }
    if (state < 0) end(fd);
}

static void streams(void) {
    int one = 1, epoll = epoll_create1(EPOLL_CLOEXEC);
    setsockopt(LISTENER, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = LISTENER}, events[EVENTS];
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, LISTENER, &event) < 0) fail("epoll_ctl");
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != LISTENER) {
                serve(fd);
                continue;
            }
            while ((fd = accept4(LISTENER, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
                event.data.fd = fd;
                if (fd >= CONNECTIONS || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) close(fd);
            }
        }
    }
}

static int watch_datagrams(struct epoll_event *event) {
    int one = 1, epoll = epoll_create1(EPOLL_CLOEXEC);
    setsockopt(LISTENER, IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
    *event = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.fd = LISTENER};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, LISTENER, event) < 0) fail("epoll_ctl");
    return epoll;
}

/* The answer leaves from the address that was asked, whichever way that is. */
static void answer_from_asked(struct msghdr *message) {
    struct cmsghdr *head = CMSG_FIRSTHDR(message);
    if (!head || head->cmsg_type != IP_PKTINFO) return;
    struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(head);
    info->ipi_spec_dst = info->ipi_addr;
    info->ipi_ifindex = 0;
}

static void datagrams(void) {
    struct epoll_event event;
    int epoll = watch_datagrams(&event);
    for (;;) {
        if (epoll_wait(epoll, &event, 1, -1) < 1) continue;
        for (;;) {
            struct sockaddr_storage peer;
            union {
                struct cmsghdr head;
                char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
            } control;
            struct iovec piece = {.iov_base = buffer, .iov_len = BUFFER};
            struct msghdr message = {.msg_name = &peer, .msg_namelen = sizeof peer,
                .msg_iov = &piece, .msg_iovlen = 1,
                .msg_control = &control, .msg_controllen = sizeof control};
            ssize_t taken = recvmsg(LISTENER, &message, 0);
            if (taken < 0) break;
            answer_from_asked(&message);
            piece.iov_len = taken;
            sendmsg(LISTENER, &message, MSG_DONTWAIT);
        }
    }
}

static void batches(void) {
    static struct place {
        struct sockaddr_storage peer;
        struct iovec piece;
        char control[CMSG_SPACE(sizeof(struct in_pktinfo))] __attribute__((aligned(8)));
        char bytes[BUFFER];
    } places[BATCH];
    static struct mmsghdr heads[BATCH];
    struct epoll_event event;
    int epoll = watch_datagrams(&event), taken = 0;
    for (;;) {
        if (taken < BATCH && epoll_wait(epoll, &event, 1, -1) < 1) continue;
        for (int i = 0; i < BATCH; i++) {
            struct place *place = &places[i];
            place->piece = (struct iovec){.iov_base = place->bytes, .iov_len = BUFFER};
            heads[i].msg_hdr = (struct msghdr){.msg_name = &place->peer, .msg_namelen = sizeof place->peer,
                .msg_iov = &place->piece, .msg_iovlen = 1,
                .msg_control = place->control, .msg_controllen = sizeof place->control};
        }
        taken = recvmmsg(LISTENER, heads, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < taken; i++) {
            answer_from_asked(&heads[i].msg_hdr);
            places[i].piece.iov_len = heads[i].msg_len;
        }
        if (taken > 0) sendmmsg(LISTENER, heads, taken, MSG_DONTWAIT);
    }
}

int main(int argc, char **argv) {
    /* Inherited sockets may be blocking, and loops until EAGAIN would hang. */
    fcntl(LISTENER, F_SETFL, fcntl(LISTENER, F_GETFL) | O_NONBLOCK);
    if (argc > 2) {
        suffix = argv[2];
        suffix_length = strlen(suffix);
    }
    is_line = argc > 1 && !strcmp(argv[1], "line");
    if (is_line || (argc > 1 && !strcmp(argv[1], "stream"))) streams();
    if (argc > 1 && !strcmp(argv[1], "datagram")) datagrams();
    if (argc > 1 && !strcmp(argv[1], "batch")) batches();
    fputs("floor stream [SUFFIX] | line SUFFIX | datagram | batch\n", stderr);
    return 64;
}
