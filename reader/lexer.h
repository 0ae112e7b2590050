/* SPDX-License-Identifier: MIT */
#ifndef TB_LEXER_H
#define TB_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tb_token {
	TB_TOKEN_END,
	TB_TOKEN_WORD,
	TB_TOKEN_NUMBER,
	TB_TOKEN_TEXT,
	TB_TOKEN_PUNCTUATION,
	TB_TOKEN_ASSIGN_TYPE,		/* := */
	TB_TOKEN_DOTS,			/* ... */
};

/* Longer than "__" field "_length". */
#define TB_LEXER_NAME_SIZE 320

/* Set at, end, line (1), message and message_size, then tb_lexer_next(). */
struct tb_lexer {
	const char *at, *end;
	unsigned int line;
	enum tb_token token;		/* the current one */
	char word[4096];		/* its text, cut if longer; of TEXT without quotes */
	uint64_t number;
	int err;			/* 0 or the first failure: -EBADMSG, -ENOMEM */
	char *message;			/* message_size bytes: "line N: ..." of that */
	size_t message_size;
};

__attribute__((format(printf, 2, 3)))
void tb_lexer_fail(struct tb_lexer *lexer, const char *format, ...);
void tb_lexer_fail_memory(struct tb_lexer *lexer);

/* Goes on to the next token. */
void tb_lexer_next(struct tb_lexer *lexer);

/* Is the current token this? */
bool tb_lexer_is(const struct tb_lexer *lexer, enum tb_token token, const char *word);

/* Goes on if the current token is this punctuation; expect fails if it is not. */
bool tb_lexer_take(struct tb_lexer *lexer, const char *punctuation);
void tb_lexer_expect(struct tb_lexer *lexer, const char *punctuation);

/* Goes on to behind the next ';' that is not inside braces, or to a '}' that ends more. */
void tb_lexer_skip(struct tb_lexer *lexer);

/* Take "name =" or "name :=", names joined by '.': true, and the value is next. false at a '}' or the end. */
bool tb_lexer_attribute(struct tb_lexer *lexer, char name[TB_LEXER_NAME_SIZE]);

/* Take a value of this kind, or fail and leave things as they were. */
void tb_lexer_word(struct tb_lexer *lexer, char *name, size_t size);
void tb_lexer_text(struct tb_lexer *lexer, char *text, size_t size);
void tb_lexer_uuid(struct tb_lexer *lexer, uint8_t uuid[16]);
uint64_t tb_lexer_number(struct tb_lexer *lexer);
int64_t tb_lexer_signed(struct tb_lexer *lexer);

#endif
