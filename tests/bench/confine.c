/* Runs a program in the sandbox of the packaged unit, as far as that can be had
 * without a service manager, so that echod and the floor pay the same for it:
 *
 *   confine COMMAND...
 *
 * The calls that are allowed and the descriptor limit come from systemd/echo.service
 * by way of unit.h, which tests/bench/unit.py writes; the rest of the unit is said
 * again here, and has to be changed here as well. The order is the manager's: namespaces, limits, user
 * and capabilities, no new privileges, and the filters last.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "unit.h" /* ALLOWED, LIMIT_NOFILE */

#if defined __x86_64__
enum { ARCH = AUDIT_ARCH_X86_64 };
#elif defined __aarch64__
enum { ARCH = AUDIT_ARCH_AARCH64 };
#endif

/* Of the range that DynamicUser= takes its users from. */
enum { USER = 61999, CAPABILITIES = 64, LENGTH = 4096 };

static const int allowed[] = {
#include "allowed.h"
};
static struct sock_filter program[LENGTH];
static unsigned short length;

static void fail(const char *what) {
    fprintf(stderr, "confine: %s: %s\n", what, strerror(errno));
    exit(70);
}

static void add(unsigned short code, unsigned k, unsigned char yes, unsigned char no) {
    program[length++] = (struct sock_filter){code, yes, no, k};
}

static void load(size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0); }
static void give(unsigned action) { add(BPF_RET | BPF_K, action, 0, 0); }

/* Each filter begins alike: another architecture has no calls at all. */
static void begin(void) {
    length = 0;
    load(offsetof(struct seccomp_data, arch));
    add(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
    give(SECCOMP_RET_KILL_PROCESS);
    load(offsetof(struct seccomp_data, nr));
}

static void install(void) {
    struct sock_fprog filter = {length, program};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter)) fail("seccomp");
}

/* A call that is refused with such an error if an argument has all bits of a mask
 * (or, with `equal`, if it is anything but that). */
static void refuse(int call, int argument, unsigned mask, int equal, int error) {
    begin();
    add(BPF_JMP | BPF_JEQ | BPF_K, call, 1, 0);
    give(SECCOMP_RET_ALLOW);
    load(offsetof(struct seccomp_data, args) + 8 * argument);
    if (!equal) add(BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
    add(BPF_JMP | BPF_JEQ | BPF_K, mask, equal, !equal);
    give(SECCOMP_RET_ERRNO | error);
    give(SECCOMP_RET_ALLOW);
    install();
}

static void filter(void) {
    refuse(SYS_socket, 0, AF_UNIX, 1, EAFNOSUPPORT);
    refuse(SYS_mmap, 2, PROT_WRITE | PROT_EXEC, 0, EPERM);
    refuse(SYS_mprotect, 2, PROT_EXEC, 0, EPERM);
    refuse(SYS_clone, 0, CLONE_NEWUSER, 0, EPERM);
    /* The last: it has no room for another. */
    begin();
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        add(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        give(SECCOMP_RET_ALLOW);
    }
    give(SECCOMP_RET_ERRNO | EPERM);
    install();
}

static void enclose(void) {
    if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)) fail("unshare");
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL)) fail("mount");
    if (mount("/", "/", NULL, MS_BIND | MS_REC, NULL) ||
        mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID, NULL))
        fail("read-only root");
    if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") && errno != ENOENT) fail("/tmp");
}

int main(int argc, char **argv) {
    if (argc < 2) return 64;
    /* Its folder may be closed to the user that it gets. */
    int file = open(argv[1], O_PATH | O_CLOEXEC);
    if (file < 0) fail(argv[1]);
    enclose();
    struct rlimit limit = {LIMIT_NOFILE, LIMIT_NOFILE};
    if (setrlimit(RLIMIT_NOFILE, &limit)) {
        /* Then what there is, for all alike. */
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    umask(0777);
    for (int capability = 0; capability < CAPABILITIES; capability++) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    if (setgroups(0, NULL) || setresgid(USER, USER, USER) || setresuid(USER, USER, USER)) fail("user");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("no new privileges");
    filter();
    syscall(SYS_execveat, file, "", argv + 1, environ, AT_EMPTY_PATH);
    fail(argv[1]);
}
