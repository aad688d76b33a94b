/*
 * prefault test agent: lines, words and reports of its protocol.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See agent-proto.h for what each function promises.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent-proto.h"

static int report_fd;

void stream_open(struct stream *stream, int fd)
{
    memset(stream, 0, sizeof(*stream));
    stream->fd = fd;
}

void stream_close(struct stream *stream)
{
    if (stream->fd > 0) {
        close(stream->fd);
    }
    free(stream->data);
    memset(stream, 0, sizeof(*stream));
}

void stream_fill(struct stream *stream)
{
    ssize_t n;

    if (stream->start == stream->end) {
        stream->start = stream->end = 0;
    }
    if (stream->room - stream->end < 65536) {
        stream->room = stream->end + 131072;
        stream->data = realloc(stream->data, stream->room);
    }
    /* one byte stays free for the terminator of a last, unfinished line */
    n = read(stream->fd, stream->data + stream->end,
             stream->room - stream->end - 1);
    if (n > 0) {
        stream->end += n;
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        stream->ended = 1;
    }
}

char *stream_line(struct stream *stream)
{
    size_t left = stream->end - stream->start;
    char *line = stream->data + stream->start;
    char *newline = left ? memchr(line, '\n', left) : NULL;

    if (newline) {
        stream->start += newline - line + 1;
        *newline = 0;
        if (newline > line && newline[-1] == '\r') {
            newline[-1] = 0;
        }
        return line;
    }
    if (stream->ended && left) {
        line[left] = 0;
        stream->start = stream->end;
        return line;
    }
    if (stream->ended) {
        stream_close(stream);
    }
    return NULL;
}

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
}

void unescape(char *text)
{
    char *to = text;

    for (; *text; text++) {
        if (*text == '%' && text[1] && text[2]) {
            *to++ = hex_digit(text[1]) * 16 + hex_digit(text[2]);
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    *to = 0;
}

void split_words(char *text, char **words)
{
    int n = 0;
    char *word;

    while (text && *text && n < MAX_WORDS - 1) {
        word = strsep(&text, " ");
        unescape(word);
        words[n++] = word;
    }
    words[n] = NULL;
}

long long now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int write_all(int fd, const void *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno == EAGAIN) {
            struct pollfd wait = { fd, POLLOUT, 0 };

            poll(&wait, 1, 1000);
        } else if (n < 0 && errno != EINTR) {
            return -1;
        }
        if (n > 0) {
            data = (const char *)data + n;
            size -= n;
        }
    }
    return 0;
}

void report_to(int fd)
{
    report_fd = fd;
}

void report(const char *format, ...)
{
    char *line;
    va_list args;
    int n;

    va_start(args, format);
    n = vasprintf(&line, format, args);
    va_end(args);
    if (n >= 0) {
        line[n] = '\n';         /* in the place of the terminator */
        (void)write_all(report_fd, line, n + 1);
        free(line);
    }
}

void report_hex(const char *tag, int error, const void *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    char *hex = malloc(2 * size + 1);

    for (size_t i = 0; i < size; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * size] = 0;
    report("file %s %d %s", tag, error, hex);
    free(hex);
}
