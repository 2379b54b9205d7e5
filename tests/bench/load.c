/* The load: a closed loop over many peers, which checks every byte that comes
 * back and says when it is itself the limit.
 *
 *   load WORK --to ADDRESS [OPTION...]      see USAGE below
 *
 * One line of JSON on standard output for each thing measured. The server's CPU
 * time is read here, at both ends of the measured span and not a moment later.
 *
 * It is long because every work is done by the same peers in the same loop.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char USAGE[] =
    "load echo|churn|bulk|datagram|hold|start --to ADDR:PORT|/PATH\n"
    "  --peers N      peers (echo, datagram, hold), in flight (churn), streams (bulk)\n"
    "  --size BYTES   of a message\n"
    "  --suffix TEXT  what the answer has behind the message\n"
    "  --line         messages end with a newline, and the suffix stands before it\n"
    "  --warm S, --seconds S   before and while it is measured\n"
    "  --clock PID,...|/FILE   the server's CPU time: processes, or nanoseconds in a file\n"
    "  start: -- COMMAND...    started with the listener, which is our descriptor 3\n";

enum { TABLE = 1 << 20, CHUNK = 65536, EVENTS = 256, BUCKETS = 64 * 40 };

struct peer {
    int fd;
    uint32_t sequence;
    size_t sent, got;
    uint64_t at;        /* when the message was sent, or the connection begun */
    uint64_t wrote, read; /* bulk: bytes so far */
};

static struct {
    const char *to, *suffix, *clock;
    char **command;
    unsigned peers;
    size_t size;
    int line;
    double warm, seconds;
} option = {.suffix = "", .peers = 1, .size = 128, .warm = 0.2, .seconds = 0.5};

static struct sockaddr_storage address;
static socklen_t address_length;
static int family;
/* Letters, so that no message begins with an exit word or holds a newline; the
 * beginning follows once more behind the end, so that any slice is whole. */
static char table[TABLE + 2 * CHUNK];
static char answer[2 * CHUNK], incoming[2 * CHUNK];
static size_t suffix_length, answer_length;
static struct peer *peers;
static int epoll;
static uint32_t histogram[BUCKETS];
static uint64_t messages, bytes, lost, broken, wrong;
static int measuring;

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t cpu_of(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t)) return 0;
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t server_cpu(void) {
    if (!option.clock) return 0;
    if (option.clock[0] != '/') {
        uint64_t sum = 0;
        for (const char *pid = option.clock; pid; pid = (pid = strchr(pid, ',')) ? pid + 1 : NULL)
            sum += cpu_of((~(clockid_t)atoi(pid) << 3) | 2);
        return sum;
    }
    char text[32] = "";
    int fd = open(option.clock, O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0) fail(option.clock);
    close(fd);
    return strtoull(text, NULL, 10);
}

/* What the machine's processors did in all, idling and waiting apart: in ticks of
 * 10 ms, to see whether anybody else was at work. */
static uint64_t machine_ticks(void) {
    char text[256] = "";
    int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0) fail("/proc/stat");
    close(fd);
    uint64_t user, nice, system, idle, wait, irq, softirq, steal;
    if (sscanf(text, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &user, &nice, &system, &idle, &wait, &irq,
               &softirq, &steal) != 8)
        fail("/proc/stat");
    return user + nice + system + irq + softirq + steal;
}

/* 32 buckets to a power of two: 3 % wide. */
static void record(uint64_t duration) {
    unsigned power = duration < 64 ? 0 : 58 - __builtin_clzll(duration);
    unsigned bucket = power * 64 + (unsigned)(duration >> power);
    histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

static double quantile(double q) {
    uint64_t all = 0, seen = 0;
    for (int i = 0; i < BUCKETS; i++) all += histogram[i];
    for (int i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (seen > q * all) return (double)((uint64_t)(i % 64) << i / 64) / 1000;
    }
    return 0;
}

static const char *message(const struct peer *peer) {
    return table + (peer->sequence * 8191u + (unsigned)(peer - peers) * 127u) % TABLE;
}

static void resolve(void) {
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    struct sockaddr_un *un = (struct sockaddr_un *)&address;
    const char *colon = strrchr(option.to, ':');
    if (option.to[0] == '/') {
        un->sun_family = AF_UNIX;
        strncpy(un->sun_path, option.to, sizeof un->sun_path - 1);
        address_length = sizeof *un;
    } else {
        char host[64] = "";
        if (!colon || colon - option.to > 63) fail("address");
        memcpy(host, option.to, colon - option.to);
        in->sin_family = AF_INET;
        in->sin_port = htons(atoi(colon + 1));
        if (inet_pton(AF_INET, host, &in->sin_addr) != 1) fail("address");
        address_length = sizeof *in;
    }
    family = address.ss_family;
}

/* Sources are spread over 250 addresses, or ports would run out in a second. */
static int open_socket(int type, unsigned source) {
    int fd = socket(family, type | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0) fail("socket");
    if (family == AF_INET) {
        struct sockaddr_in from = {.sin_family = AF_INET,
            .sin_addr.s_addr = htonl(0x7f000201u + source % 250)};
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(fd, (struct sockaddr *)&from, sizeof from)) fail("bind");
        if ((type & 0xf) == SOCK_STREAM) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    return fd;
}

static void reach(int fd) {
    if (connect(fd, (struct sockaddr *)&address, address_length)) fail("connect");
}

static void unblock(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

static void watch(struct peer *peer) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = peer};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, peer->fd, &event)) fail("epoll_ctl");
}

/* The bytes of this peer's message, put together where they are not as they are. */
static const char *outgoing(const struct peer *peer) {
    static char line[CHUNK + 1];
    if (!option.line) return message(peer);
    memcpy(line, message(peer), option.size - 1);
    line[option.size - 1] = '\n';
    return line;
}

static void give(struct peer *peer) {
    ssize_t n = send(peer->fd, outgoing(peer) + peer->sent, option.size - peer->sent, MSG_NOSIGNAL);
    /* What broke shows when the answer is taken. */
    if (n < 0 && errno != EAGAIN && errno != ENOTCONN && errno != EPIPE && errno != ECONNRESET &&
        errno != ECONNREFUSED)
        fail("send");
    if (n > 0) peer->sent += n;
}

static void begin(struct peer *peer, uint64_t at) {
    peer->at = at;
    peer->sequence++;
    peer->sent = peer->got = 0;
    give(peer);
}

/* Whether the whole answer is there: 1, or -1 if the conversation is over. */
static int take(struct peer *peer) {
    ssize_t n = recv(peer->fd, incoming, answer_length - peer->got + 1, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) return -1;
    size_t plain = option.size - option.line;
    if (!suffix_length && !option.line) {
        wrong += peer->got + n > answer_length || memcmp(incoming, message(peer) + peer->got, n);
    } else {
        memcpy(answer, message(peer), plain);
        memcpy(answer + plain, option.suffix, suffix_length);
        if (option.line) answer[answer_length - 1] = '\n';
        wrong += peer->got + n > answer_length || memcmp(incoming, answer + peer->got, n);
    }
    peer->got += n;
    return peer->got >= answer_length;
}

/* As take(), where no conversation may end. */
static int take_all(struct peer *peer) {
    int whole = take(peer);
    if (whole < 0) fail("the server ended a conversation");
    return whole;
}

/* An answer to what was given up already. */
static int is_stale(struct peer *peer) {
    peer->sequence--;
    int same = !memcmp(incoming, message(peer), option.size);
    peer->sequence++;
    return same;
}

static void done(struct peer *peer, uint64_t at) {
    if (!measuring) return;
    record(at - peer->at);
    messages++;
    bytes += option.size;
}

static void connect_all(int type) {
    peers = calloc(option.peers, sizeof *peers);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < option.peers; i++) {
        peers[i].fd = open_socket(type, i);
        reach(peers[i].fd);
    }
}

static void echo(struct epoll_event *event) {
    struct peer *peer = event->data.ptr;
    if (peer->sent < option.size) give(peer);
    if (!(event->events & ~EPOLLOUT) || !take_all(peer)) return;
    uint64_t at = now();
    done(peer, at);
    begin(peer, at);
}

static void echo_datagram(struct epoll_event *event) {
    struct peer *peer = event->data.ptr;
    uint64_t before = wrong;
    if (!(event->events & ~EPOLLOUT) || !take_all(peer)) return;
    if (wrong > before && is_stale(peer)) {
        wrong = before;
        peer->got = 0;
        return;
    }
    uint64_t at = now();
    done(peer, at);
    begin(peer, at);
}

static void open_churn(struct peer *peer) {
    static unsigned source;
    peer->fd = open_socket(SOCK_STREAM | SOCK_NONBLOCK, source++);
    uint64_t at = now();
    if (connect(peer->fd, (struct sockaddr *)&address, address_length) && errno != EINPROGRESS) fail("connect");
    /* On the loopback the handshake is over by now. */
    begin(peer, at);
    watch(peer);
}

static void churn(struct epoll_event *event) {
    struct peer *peer = event->data.ptr;
    int whole = event->events & EPOLLERR ? -1 : 0;
    if (!whole && peer->sent < option.size) give(peer);
    if (!whole && event->events & EPOLLIN) whole = take(peer);
    if (!whole) return;
    if (whole > 0) done(peer, now());
    else if (measuring) broken++;
    close(peer->fd);
    open_churn(peer);
}

static void bulk(struct epoll_event *event) {
    struct peer *peer = event->data.ptr;
    for (int turn = 0; turn < 16; turn++) {
        ssize_t in = recv(peer->fd, incoming, CHUNK, 0);
        if (in == 0) fail("the server ended a stream");
        if (in > 0) {
            wrong += !!memcmp(incoming, table + peer->read % TABLE, in);
            peer->read += in;
            if (measuring) messages++, bytes += in;
        }
        ssize_t out = send(peer->fd, table + peer->wrote % TABLE, CHUNK, MSG_NOSIGNAL);
        if (out > 0) peer->wrote += out;
        if (in < 0 && out < 0) return;
    }
    /* Others have their turn; edges are not repeated, so ask for this one again. */
    event->events = EPOLLIN | EPOLLOUT | EPOLLET;
    epoll_ctl(epoll, EPOLL_CTL_MOD, peer->fd, event);
}

/* Datagrams get lost; what is not answered within 200 ms is counted and sent anew. */
static void resend(uint64_t at) {
    static uint64_t last;
    if (at - last < 50000000) return;
    last = at;
    for (unsigned i = 0; i < option.peers; i++) {
        if ((int64_t)(at - peers[i].at) < 200000000) continue;
        if (measuring) lost++;
        begin(&peers[i], at);
    }
}

static void measure(void (*serve)(struct epoll_event *), int repeats) {
    struct epoll_event events[EVENTS];
    uint64_t begin = now() + option.warm * 1e9, end = begin + option.seconds * 1e9;
    uint64_t at, server = 0, own = 0, machine = 0;
    while ((at = now()) < end) {
        if (!measuring && at >= begin) {
            measuring = 1;
            begin = at;
            server = server_cpu();
            machine = machine_ticks();
            own = cpu_of(CLOCK_PROCESS_CPUTIME_ID);
        }
        int count = epoll_wait(epoll, events, EVENTS, 10);
        for (int i = 0; i < count; i++) serve(&events[i]);
        if (repeats) resend(at);
    }
    server = server_cpu() - server;
    machine = machine_ticks() - machine;
    own = cpu_of(CLOCK_PROCESS_CPUTIME_ID) - own;
    printf("{\"messages\": %lu, \"bytes\": %lu, \"seconds\": %.6f, \"server_ns\": %lu, \"load_ns\": %lu, "
           "\"machine_ticks\": %lu, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f, \"lost\": %lu, \"broken\": %lu, \"wrong\": %lu}\n",
        messages, bytes, (at - begin) / 1e9, server, own, machine, quantile(.5), quantile(.99), lost, broken, wrong);
}

static void ask_all(void) {
    for (unsigned i = 0; i < option.peers; i++) begin(&peers[i], now());
    for (unsigned i = 0; i < option.peers; i++) {
        while (!take_all(&peers[i])) {
            struct epoll_event event;
            epoll_wait(epoll, &event, 1, 1);
        }
    }
}

/* Peers that have each said one thing, and then wait; told on standard input to
 * ask again, or to go. */
static void hold(void) {
    char word[32];
    for (unsigned i = 0; i < option.peers; i++) {
        begin(&peers[i], now());
        while (!take_all(&peers[i])) {
            struct epoll_event event;
            epoll_wait(epoll, &event, 1, 1);
        }
    }
    printf("{\"held\": %u, \"wrong\": %lu}\n", option.peers, wrong);
    fflush(stdout);
    while (fgets(word, sizeof word, stdin) && !strncmp(word, "ask", 3)) {
        uint64_t at = now();
        ask_all();
        printf("{\"asked\": %u, \"seconds\": %.6f, \"wrong\": %lu}\n", option.peers, (now() - at) / 1e9, wrong);
        fflush(stdout);
    }
    for (unsigned i = 0; i < option.peers; i++) close(peers[i].fd);
    printf("{\"gone\": %u}\n", option.peers);
}

/* From exec to the first answer, of a server that inherits the listener. The
 * peer is there before, as with a socket that systemd listens on. */
static void start(void) {
    uint64_t *begun = mmap(NULL, sizeof *begun, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    connect_all(SOCK_STREAM);
    begin(&peers[0], now());
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (!child) {
        cpu_set_t core;
        CPU_ZERO(&core);
        CPU_SET(0, &core);
        sched_setaffinity(0, sizeof core, &core);
        char pid[16];
        snprintf(pid, sizeof pid, "%d", getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
        fcntl(3, F_SETFD, 0);
        *begun = now();
        execvp(option.command[0], option.command);
        fail(option.command[0]);
    }
    /* A server that dies leaves the listener to us, and so no end of the connection. */
    struct timeval patience = {.tv_sec = 1};
    setsockopt(peers[0].fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while (recv(peers[0].fd, incoming, 1, MSG_PEEK) != 1)
        if (waitpid(child, NULL, WNOHANG)) fail("the server died");
    uint64_t at = now();
    wrong += take(&peers[0]) != 1;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    printf("{\"start_us\": %.1f, \"wrong\": %lu}\n", (at - *begun) / 1e3, wrong);
}

static void parse(int argc, char **argv) {
    for (int i = 2; i < argc; i++) {
        const char *name = argv[i];
        if (!strcmp(name, "--")) {
            option.command = argv + i + 1;
            return;
        }
        if (!strcmp(name, "--line")) {
            option.line = 1;
            continue;
        }
        if (++i == argc) fail(name);
        if (!strcmp(name, "--to")) option.to = argv[i];
        else if (!strcmp(name, "--peers")) option.peers = atoi(argv[i]);
        else if (!strcmp(name, "--size")) option.size = atoi(argv[i]);
        else if (!strcmp(name, "--suffix")) option.suffix = argv[i];
        else if (!strcmp(name, "--warm")) option.warm = atof(argv[i]);
        else if (!strcmp(name, "--seconds")) option.seconds = atof(argv[i]);
        else if (!strcmp(name, "--clock")) option.clock = argv[i];
        else errno = EINVAL, fail(name);
    }
}

int main(int argc, char **argv) {
    parse(argc, argv);
    if (argc < 2 || !option.to || !option.peers || option.size > CHUNK) {
        fputs(USAGE, stderr);
        return 64;
    }
    signal(SIGPIPE, SIG_IGN);
    resolve();
    uint32_t seed = 1;
    for (unsigned i = 0; i < sizeof table; i++) {
        seed = seed * 1664525 + 1013904223;
        table[i] = i < TABLE ? (char)('A' + (seed >> 24) % 26) : table[i - TABLE];
    }
    suffix_length = strlen(option.suffix);
    answer_length = option.size + suffix_length;
    const char *work = argv[1];
    if (!strcmp(work, "start")) {
        start();
    } else if (!strcmp(work, "churn")) {
        peers = calloc(option.peers, sizeof *peers);
        epoll = epoll_create1(EPOLL_CLOEXEC);
        for (unsigned i = 0; i < option.peers; i++) open_churn(&peers[i]);
        measure(churn, 0);
    } else {
        int datagrams = !strcmp(work, "datagram");
        connect_all(datagrams ? SOCK_DGRAM : SOCK_STREAM);
        if (!strcmp(work, "hold")) {
            hold();
            return wrong != 0;
        }
        uint64_t at = now();
        for (unsigned i = 0; i < option.peers; i++) {
            unblock(peers[i].fd);
            watch(&peers[i]);
            if (strcmp(work, "bulk")) begin(&peers[i], at);
        }
        if (!strcmp(work, "bulk")) measure(bulk, 0);
        else measure(datagrams ? echo_datagram : echo, datagrams);
    }
    return wrong != 0;
}
