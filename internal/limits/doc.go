// Package limits decides how much of the server one caller may have: how often
// it asks, how many requests it has under way, how many bytes it moves, how
// many records it has opened, and what is refused first when there is too much
// of everything.
//
// A Definition is what operators write; a Limiter counts by all of them. A
// limit has several windows at once (one a second and a thousand a day), and a
// request is charged to none of them before all of them were checked.
//
// Windows slide. golang.org/x/time/rate has one rate a limiter, forgets how
// much was used, and lets twice the limit through within a window: once as its
// burst and once more as it refills. Here no span of a window's length ever sees
// more than the limit, what is left is known exactly, and a counter is 72 bytes.
//
// Beside it stand the guard of failed authentications (Guard), the door of
// connections and TLS handshakes (Door), the shedder of load (Shedder) and the
// budgets of exposure. Everything counts in tables of a fixed capacity.
package limits
