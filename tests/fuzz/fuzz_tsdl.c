/* SPDX-License-Identifier: MIT */
/* Metadata of traces (TSDL), as anybody may have written it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reader/tsdl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tb_metadata *metadata = NULL;
	char message[256];
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	if (!tb_tsdl_parse(text, size, &metadata, message, sizeof(message)))
		tb_metadata_free(metadata);
	free(text);
	return 0;
}
