/* SPDX-License-Identifier: MIT */
/*
 * What must not compile, in C nor in C++: each case is chosen by -DBAD=<number>, 0 is the right one. The comment of a
 * case is what the compiler must say.
 */
#include <tracebuf/tracepoint.h>

struct pair { int a, b; };

#if BAD == 0
TRACEBUF_EVENT(bad, event, (int, x));
#elif BAD == 1	/* tracebuf: field x has a type that cannot be recorded */
TRACEBUF_EVENT(bad, event, (struct pair, x));
#elif BAD == 2	/* tracebuf: field x has a type that cannot be recorded */
TRACEBUF_EVENT(bad, event, (long double, x));
#elif BAD == 3	/* tracebuf: field x has a type that cannot be recorded */
TRACEBUF_EVENT(bad, event, (__int128, x));
#elif BAD == 4	/* tracebuf: field x has a type that cannot be recorded */
TRACEBUF_EVENT(bad, event, (int, y), (_Complex double, x));
#elif BAD == 5	/* a sequence is a pointer to integers */
TRACEBUF_EVENT(bad, event, (const double *, x, n));
#elif BAD == 6	/* a sequence is a pointer to integers */
TRACEBUF_EVENT(bad, event, (char **, x, n));
#elif BAD == 7	/* a sequence is a pointer to integers */
TRACEBUF_EVENT(bad, event, (struct pair *, x, n));
#elif BAD == 8	/* tracebuf__record_bad__event */
TRACEBUF_EVENT(bad, event, (int, x), (int, y));
#elif BAD == 9	/* tracebuf__record_bad__event */
TRACEBUF_EVENT(bad, event);
#elif BAD == 10	/* tracebuf__enabled_bad__event */
TRACEBUF_EVENT(bad, another, (int, x));
#elif BAD == 11	/* tracebuf__record_bad__event */
TRACEBUF_EVENT(bad, event, (void *, x), (int, y));
#elif BAD == 12	/* more than 1024 events */
#define FOUR(a) TAKE(a##1) TAKE(a##2) TAKE(a##3) TAKE(a##4)
#define SIXTEEN(a) FOUR(a##1) FOUR(a##2) FOUR(a##3) FOUR(a##4)
#define MANY(a) SIXTEEN(a##1) SIXTEEN(a##2) SIXTEEN(a##3) SIXTEEN(a##4)
#define TAKE(a) enum { taken_##a = __COUNTER__ };
#define LOTS(a) MANY(a##1) MANY(a##2) MANY(a##3) MANY(a##4)
LOTS(a) LOTS(b) LOTS(c) LOTS(d)
TRACEBUF_EVENT(bad, event, (int, x));
#endif

#if BAD == 0 || BAD == 8 || BAD == 9 || BAD == 10 || BAD == 11
void record(void)
{
	tracebuf_event(bad, event, 1);
}
#endif
