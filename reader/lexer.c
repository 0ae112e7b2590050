/* SPDX-License-Identifier: MIT */
/*
 * Words of TSDL: tokens, and the small things made of a few of them.
 *
 * Invariant: the text may be anything. After the first failure the lexer stands at the end of the text for good, so
 * that a loop until END ends, and keeps the first message with its line. Nothing here recurses or allocates.
 */
#include "lexer.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

void tb_lexer_fail(struct tb_lexer *lexer, const char *format, ...)
{
	char text[256];
	va_list args;

	if (lexer->err)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	lexer->err = -EBADMSG;
	snprintf(lexer->message, lexer->message_size, "line %u: %s", lexer->line, text);
	lexer->at = lexer->end;
	lexer->token = TB_TOKEN_END;
}

void tb_lexer_fail_memory(struct tb_lexer *lexer)
{
	tb_lexer_fail(lexer, "out of memory");
	lexer->err = -ENOMEM;
}

static bool is_word(char c)
{
	return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static void skip_comment(struct tb_lexer *lexer, const char *until)
{
	size_t size = strlen(until);

	while (lexer->end - lexer->at >= (ssize_t) size && memcmp(lexer->at, until, size))
		lexer->line += *lexer->at++ == '\n';
	if (lexer->end - lexer->at < (ssize_t) size)
		lexer->at = lexer->end;
}

static void skip_space(struct tb_lexer *lexer)
{
	while (lexer->at < lexer->end) {
		size_t left = lexer->end - lexer->at;

		if (left >= 2 && !memcmp(lexer->at, "/*", 2)) {
			lexer->at += 2;
			skip_comment(lexer, "*/");
			lexer->at += lexer->at < lexer->end ? 2 : 0;
		} else if (left >= 2 && !memcmp(lexer->at, "//", 2)) {
			skip_comment(lexer, "\n");
		} else if (*lexer->at == ' ' || *lexer->at == '\t' || *lexer->at == '\n' || *lexer->at == '\r') {
			lexer->line += *lexer->at++ == '\n';
		} else {
			return;
		}
	}
}

/* A string literal; lexer->at is behind the first quote. */
static void read_text(struct tb_lexer *lexer)
{
	size_t size = 0;

	lexer->token = TB_TOKEN_TEXT;
	while (lexer->at < lexer->end && *lexer->at != '"' && *lexer->at != '\n') {
		if (*lexer->at == '\\' && lexer->end - lexer->at > 1)
			lexer->at++;
		if (size < sizeof(lexer->word) - 1)
			lexer->word[size++] = *lexer->at;
		lexer->at++;
	}
	lexer->word[size] = 0;
	if (lexer->at == lexer->end || *lexer->at == '\n')
		tb_lexer_fail(lexer, "a string does not end");
	else
		lexer->at++;
}

static void read_word(struct tb_lexer *lexer)
{
	size_t size = 0;
	char *end;

	while (lexer->at < lexer->end && is_word(*lexer->at) && size < sizeof(lexer->word) - 1)
		lexer->word[size++] = *lexer->at++;
	lexer->word[size] = 0;
	lexer->token = TB_TOKEN_WORD;
	if (lexer->word[0] < '0' || lexer->word[0] > '9')
		return;
	lexer->token = TB_TOKEN_NUMBER;
	errno = 0;
	lexer->number = strtoull(lexer->word, &end, 0);
	if (errno || strspn(end, "uUlL") != strlen(end))
		tb_lexer_fail(lexer, "\"%.64s\" is not a number", lexer->word);
}

/* Reads the next token. */
void tb_lexer_next(struct tb_lexer *lexer)
{
	skip_space(lexer);
	if (lexer->at == lexer->end) {
		lexer->token = TB_TOKEN_END;
	} else if (is_word(*lexer->at)) {
		read_word(lexer);
	} else if (*lexer->at == '"') {
		lexer->at++;
		read_text(lexer);
	} else if (lexer->end - lexer->at >= 2 && !memcmp(lexer->at, ":=", 2)) {
		lexer->token = TB_TOKEN_ASSIGN_TYPE;
		lexer->at += 2;
	} else if (lexer->end - lexer->at >= 3 && !memcmp(lexer->at, "...", 3)) {
		lexer->token = TB_TOKEN_DOTS;
		lexer->at += 3;
	} else {
		lexer->token = TB_TOKEN_PUNCTUATION;
		lexer->word[0] = *lexer->at++;
		lexer->word[1] = 0;
	}
}

bool tb_lexer_is(const struct tb_lexer *lexer, enum tb_token token, const char *word)
{
	return lexer->token == token && !strcmp(lexer->word, word);
}

/* Goes on if the token is this punctuation. */
bool tb_lexer_take(struct tb_lexer *lexer, const char *punctuation)
{
	if (!tb_lexer_is(lexer, TB_TOKEN_PUNCTUATION, punctuation))
		return false;
	tb_lexer_next(lexer);
	return true;
}

void tb_lexer_expect(struct tb_lexer *lexer, const char *punctuation)
{
	if (!tb_lexer_take(lexer, punctuation))
		tb_lexer_fail(lexer, "'%s' expected", punctuation);
}

/* Takes a word into name (size bytes). */
void tb_lexer_word(struct tb_lexer *lexer, char *name, size_t size)
{
	if (lexer->token != TB_TOKEN_WORD || strlen(lexer->word) >= size) {
		tb_lexer_fail(lexer, "a name expected");
		return;
	}
	strcpy(name, lexer->word);
	tb_lexer_next(lexer);
}

/* Skips to behind the next ';' that is not inside braces. */
void tb_lexer_skip(struct tb_lexer *lexer)
{
	unsigned int depth = 0;

	for (; lexer->token != TB_TOKEN_END; tb_lexer_next(lexer)) {
		if (tb_lexer_is(lexer, TB_TOKEN_PUNCTUATION, "{"))
			depth++;
		else if (tb_lexer_is(lexer, TB_TOKEN_PUNCTUATION, "}") && depth)
			depth--;
		else if (tb_lexer_is(lexer, TB_TOKEN_PUNCTUATION, "}"))
			return;
		else if (tb_lexer_is(lexer, TB_TOKEN_PUNCTUATION, ";") && !depth)
			break;
	}
	if (lexer->token == TB_TOKEN_END)
		tb_lexer_fail(lexer, "the text ends inside a declaration");
	else
		tb_lexer_next(lexer);
}

/* An attribute: "name = value;", names joined by '.'. Value is left as the token, or types behind := */
bool tb_lexer_attribute(struct tb_lexer *lexer, char name[TB_LEXER_NAME_SIZE])
{
	size_t size = 0;

	if (lexer->token == TB_TOKEN_END || tb_lexer_is(lexer, TB_TOKEN_PUNCTUATION, "}"))
		return false;
	name[0] = 0;
	while (lexer->token == TB_TOKEN_WORD || tb_lexer_is(lexer, TB_TOKEN_PUNCTUATION, ".")) {
		size_t more = strlen(lexer->word);

		if (size + more >= TB_LEXER_NAME_SIZE) {
			tb_lexer_fail(lexer, "a name is too long");
			return false;
		}
		memcpy(name + size, lexer->word, more + 1);
		size += more;
		tb_lexer_next(lexer);
	}
	if (lexer->token != TB_TOKEN_ASSIGN_TYPE && !tb_lexer_is(lexer, TB_TOKEN_PUNCTUATION, "="))
		tb_lexer_fail(lexer, "'=' expected");
	else
		tb_lexer_next(lexer);
	return !lexer->err;
}

uint64_t tb_lexer_number(struct tb_lexer *lexer)
{
	uint64_t number = lexer->number;

	if (lexer->token != TB_TOKEN_NUMBER) {
		tb_lexer_fail(lexer, "a number expected");
		return 0;
	}
	tb_lexer_next(lexer);
	return number;
}

int64_t tb_lexer_signed(struct tb_lexer *lexer)
{
	bool negative = tb_lexer_take(lexer, "-");
	uint64_t number = tb_lexer_number(lexer);

	if (number > INT64_MAX)
		tb_lexer_fail(lexer, "a number is too large");
	return negative ? -(int64_t) number : (int64_t) number;
}

void tb_lexer_text(struct tb_lexer *lexer, char *text, size_t size)
{
	if (lexer->token != TB_TOKEN_TEXT) {
		tb_lexer_fail(lexer, "a string expected");
		return;
	}
	snprintf(text, size, "%s", lexer->word);
	tb_lexer_next(lexer);
}

void tb_lexer_uuid(struct tb_lexer *lexer, uint8_t uuid[16])
{
	const char *c = lexer->word;
	unsigned int nr = 0;

	for (; lexer->token == TB_TOKEN_TEXT && nr < 32 && *c; c++) {
		const char *digits = "0123456789abcdef", *digit = strchr(digits, *c | 0x20);

		if (*c == '-')
			continue;
		if (!digit)
			break;
		uuid[nr / 2] = uuid[nr / 2] << 4 | (digit - digits);
		nr++;
	}
	if (nr != 32 || *c)
		tb_lexer_fail(lexer, "a uuid expected");
	else
		tb_lexer_next(lexer);
}
