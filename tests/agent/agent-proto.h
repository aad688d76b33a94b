/*
 * prefault test agent: lines, words and reports of its protocol.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The byte level of what agent.c documents.  A line may be of any length; a
 * stream that ends in the middle of a line still yields what there was.
 */
#ifndef AGENT_PROTO_H
#define AGENT_PROTO_H

#include <stddef.h>

enum { MAX_WORDS = 256 };

/* A file descriptor and what was read from it; fd is 0 when closed. */
struct stream {
    int fd;
    int ended;          /* end of file was seen, complete lines may be left */
    char *data;
    size_t start, end, room;
};

void stream_open(struct stream *stream, int fd);
void stream_close(struct stream *stream);

/* Read once, what is there.  Blocks if there is nothing. */
void stream_fill(struct stream *stream);

/*
 * Returns: the next line without its end, valid until the next call; NULL if
 * there is none yet.  Closes the stream after the last.
 */
char *stream_line(struct stream *stream);

/* Undo %-encoding in place. */
void unescape(char *text);

/* Cut @text at spaces into at most MAX_WORDS - 1 words, then NULL. */
void split_words(char *text, char **words);

long long now_ns(void);

/* Returns: 0, or -1 with errno set. */
int write_all(int fd, const void *data, size_t size);

/* Reports are lines on the control channel; a broken channel is ignored,
 * reading from it tells. */
void report_to(int fd);
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_hex(const char *tag, int error, const void *data, size_t size);

#endif
