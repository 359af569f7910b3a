/* relay drives a siren's relay from a door contact with libgpiod (1.6) and nothing else:
 *
 *     relay CHIP CONTACT SIREN DEBOUNCE_MS      offsets of lines, such as relay /dev/gpiochip0 17 27 20
 *
 * The contact is high while the door is open. The relay is on once the contact has been high for the
 * debounce, and off once it has been low for as long. It has no state, no network and no memory: it is the
 * shortest way from an edge to a level, and what the panel's is measured against. */
#include <errno.h>
#include <gpiod.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t ended;

static void end(int sig)
{
	(void)sig;
	ended = 1;
}

static int fail(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: relay CHIP CONTACT SIREN DEBOUNCE_MS\n");
		return 2;
	}
	struct sigaction action = { .sa_handler = end };
	sigaction(SIGTERM, &action, NULL);

	struct gpiod_chip *chip = gpiod_chip_open(argv[1]);
	if (!chip)
		return fail(argv[1]);
	struct gpiod_line *contact = gpiod_chip_get_line(chip, atoi(argv[2]));
	struct gpiod_line *siren = gpiod_chip_get_line(chip, atoi(argv[3]));
	if (!contact || !siren)
		return fail("finding lines");
	if (gpiod_line_request_output(siren, "relay", 0))
		return fail("claiming the siren");
	if (gpiod_line_request_both_edges_events_flags(contact, "relay", GPIOD_LINE_REQUEST_FLAG_BIAS_PULL_UP))
		return fail("claiming the contact");
	int ms = atoi(argv[4]);
	struct timespec debounce = { ms / 1000, ms % 1000 * 1000000L };
	puts("guarding");
	fflush(stdout);

	int on = 0;
	while (!ended) {
		struct gpiod_line_event edge;
		/* The first edge, then every other until there is none for the debounce. */
		if (gpiod_line_event_wait(contact, NULL) < 0)
			break;
		int more;
		do {
			if (gpiod_line_event_read(contact, &edge) < 0)
				return fail("reading an edge");
		} while ((more = gpiod_line_event_wait(contact, &debounce)) > 0);
		if (more < 0)
			break;
		int level = gpiod_line_get_value(contact);
		if (level < 0)
			return fail("reading the contact");
		if (level != on && gpiod_line_set_value(siren, on = level))
			return fail("setting the siren");
	}
	gpiod_line_set_value(siren, 0);
	gpiod_chip_close(chip);
	return 0;
}
