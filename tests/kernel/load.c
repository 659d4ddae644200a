/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Loads the programs of an object file as they are, with the object's own sizes, and says what the
 * kernel's verifier made of each: load FILE. It attaches and pins nothing, and is no test of what a
 * program does. Exit 1 where the kernel refuses, with the end of the verifier's log.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAMS_MAX 8
#define LOG_SIZE     (1u << 26) /* a log that does not fit is a refusal before Linux 6.4 */
#define LOG_END      4000       /* bytes of a refusal that are shown */
#define LOG_PATH     1          /* the kernel's BPF_LOG_LEVEL1: the way to where it refuses */
#define LOG_STATS    4          /* its BPF_LOG_STATS: figures without the instructions */

static char logs[PROGRAMS_MAX][LOG_SIZE];

static int be_silent(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level, (void)format, (void)arguments;
	return 0;
}

static void set_logs(struct bpf_object *object, int level)
{
	struct bpf_program *program;
	size_t i = 0;

	bpf_object__for_each_program (program, object) {
		if (i == PROGRAMS_MAX)
			break;
		bpf_program__set_log_buf(program, logs[i++], LOG_SIZE);
		bpf_program__set_log_level(program, level);
	}
}

/* The verifier's line of figures: "processed 1234 insns (limit 1000000) ..." */
static void print_figures(const char *program, const char *log)
{
	const char *figures = strstr(log, "processed ");

	if (figures)
		printf("%s: %.*s\n", program, (int)strcspn(figures, "\n"), figures);
}

static void print_refusal(const char *program, const char *log)
{
	size_t length = strlen(log);

	if (length)
		printf("%s: %s\n", program, length > LOG_END ? log + length - LOG_END : log);
}

/* Loads the file and prints its programs' logs. 0 or -errno. */
static int load(const char *path, int level, void (*print)(const char *, const char *))
{
	struct bpf_object *object = bpf_object__open(path);
	struct bpf_program *program;
	size_t i = 0;
	int error;

	if (!object)
		return -errno;
	set_logs(object, level);
	error = bpf_object__load(object);
	bpf_object__for_each_program (program, object)
		if (i < PROGRAMS_MAX && !error == (level == LOG_STATS))
			print(bpf_program__name(program), logs[i++]);
	bpf_object__close(object);
	return error;
}

int main(int argc, char **argv)
{
	int error;

	if (argc != 2) {
		fprintf(stderr, "usage: load FILE\n");
		return 2;
	}
	libbpf_set_print(be_silent);
	error = load(argv[1], LOG_STATS, print_figures);
	if (error) {
		load(argv[1], LOG_PATH, print_refusal);
		printf("%s: refused: %s\n", argv[1], strerror(-error));
	}
	return error ? 1 : 0;
}
