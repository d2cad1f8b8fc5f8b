/*
 * fairlead/autoscaler/simulator/engine.py in C: a day of traffic in a second or two. What the model is and why is said there, and
 * names are the same here. A test plays the same with both and compares every first token to the last bit.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define MOST_REPLICAS 64

struct model {
	double step_base, step_prefill, step_decode;
	double overhead_base, overhead_prompt;
	int64_t kv_tokens;
	int32_t max_running, step_tokens;
};

struct request {
	int64_t end;        /* the value of `steps` at which it has its last token, once its prompt is computed */
	int32_t decoded;    /* tokens that it got before it was put back */
	int32_t to_prefill; /* tokens of its prompt that are not computed yet */
	int32_t running;
};

struct end {
	int64_t at;
	int32_t id;
};

struct replica {
	int alive, open;
	double boundary, busy;
	int64_t kv_used, generated, steps;
	/* Ids in the order of admission, those that are done among them until the array is full; `runs` counts the others. */
	int32_t *running;
	int32_t length, runs;
	/* Those of them whose prompt is computed, oldest first. */
	int32_t *prefilling;
	int32_t prefills;
	struct end *heap;
	int32_t heaped;
	/* Waiting: ids in a ring. */
	int32_t *ring;
	uint32_t head, tail, mask;
};

struct sim {
	struct model model;
	const double *arrival;
	const int32_t *prompt, *output;
	struct request *request;
	float *first;
	int64_t requests, next;
	uint64_t dice;
	int any_replica, slots;
	struct replica replicas[MOST_REPLICAS];
};

static void push(struct replica *r, int32_t id, int front)
{
	if (r->tail - r->head > r->mask) {
		uint32_t size = r->mask + 1, i;
		int32_t *larger = malloc(2 * size * sizeof *larger);
		for (i = 0; i < size; i++)
			larger[i] = r->ring[(r->head + i) & r->mask];
		free(r->ring);
		r->ring = larger;
		r->mask = 2 * size - 1;
		r->head = 0;
		r->tail = size;
	}
	if (front)
		r->ring[--r->head & r->mask] = id;
	else
		r->ring[r->tail++ & r->mask] = id;
}

static uint32_t waiting(const struct replica *r)
{
	return r->tail - r->head;
}

static void heap_push(struct replica *r, int64_t at, int32_t id)
{
	int32_t i = r->heaped++;
	while (i && r->heap[(i - 1) / 2].at > at) {
		r->heap[i] = r->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	r->heap[i] = (struct end){at, id};
}

static void heap_pop(struct replica *r)
{
	struct end last = r->heap[--r->heaped];
	int32_t i = 0, child;
	while ((child = 2 * i + 1) < r->heaped) {
		if (child + 1 < r->heaped && r->heap[child + 1].at < r->heap[child].at)
			child++;
		if (r->heap[child].at >= last.at)
			break;
		r->heap[i] = r->heap[child];
		i = child;
	}
	r->heap[i] = last;
}

static void admit(struct sim *s, struct replica *r, int32_t id)
{
	if (r->length == 2 * s->model.max_running) {
		int32_t i, kept = 0;
		for (i = 0; i < r->length; i++)
			if (s->request[r->running[i]].running)
				r->running[kept++] = r->running[i];
		r->length = kept;
	}
	r->running[r->length++] = id;
	s->request[id].running = 1;
	r->runs++;
}

static void put_back(struct sim *s, struct replica *r)
{
	struct request *request;
	int32_t id, whole, i;
	while (!s->request[r->running[r->length - 1]].running)
		r->length--;
	id = r->running[--r->length];
	r->runs--;
	request = &s->request[id];
	request->running = 0;
	whole = s->prompt[id] + request->decoded;
	if (request->to_prefill) {
		r->prefills--; /* it is the last of them, too */
		request->to_prefill = 0;
	} else {
		int32_t tokens = s->output[id] - (int32_t)(request->end - r->steps);
		for (i = 0; r->heap[i].id != id; i++)
			;
		/* Taken out where it is: lower to the top, then off. */
		for (; i; i = (i - 1) / 2)
			r->heap[i] = r->heap[(i - 1) / 2];
		heap_pop(r);
		r->kv_used -= tokens - request->decoded;
		request->decoded = tokens;
	}
	r->kv_used -= whole;
	push(r, id, 1);
}

/* The step that ends now computed the last of its prompt, and with it a token. */
static void first(struct sim *s, struct replica *r, int32_t id)
{
	const struct model *m = &s->model;
	struct request *request = &s->request[id];
	if (s->first[id] < 0)
		s->first[id] = (float)(r->boundary - s->arrival[id] + m->overhead_base + m->overhead_prompt * s->prompt[id]);
	request->end = r->steps + s->output[id] - request->decoded;
	heap_push(r, request->end, id);
}

/* One or more steps from `boundary`; false: there is nothing to do. No run of steps goes beyond the first boundary from `until` on. */
static int step(struct sim *s, struct replica *r, double until)
{
	const struct model *m = &s->model;
	int32_t decoding, left, prefilled, computed = 0, i;
	int64_t steps = 1, tokens;
	double took;

	while (r->runs > 1 && r->kv_used + r->runs - r->prefills > m->kv_tokens)
		put_back(s, r);
	decoding = r->runs - r->prefills;
	left = m->step_tokens - decoding;
	/* Prompts in their order: those that are done come first, for no later one is begun before. */
	for (i = 0; i < r->prefills && left > 0; i++) {
		struct request *each = &s->request[r->prefilling[i]];
		int32_t chunk = each->to_prefill < left ? each->to_prefill : left;
		each->to_prefill -= chunk;
		left -= chunk;
		computed += !each->to_prefill;
	}
	while (waiting(r) && left > 0 && r->runs < m->max_running) {
		int32_t id = r->ring[r->head & r->mask];
		int32_t whole = s->prompt[id] + s->request[id].decoded;
		int32_t chunk = whole < left ? whole : left;
		if (r->runs && r->kv_used + decoding + whole > m->kv_tokens)
			break;
		r->head++;
		r->kv_used += whole;
		left -= chunk;
		s->request[id].to_prefill = whole - chunk;
		admit(s, r, id);
		r->prefilling[r->prefills++] = id;
		computed += chunk == whole;
	}
	if (!r->runs)
		return 0;
	prefilled = m->step_tokens - decoding - left;
	took = m->step_base + m->step_prefill * prefilled + m->step_decode * decoding;
	if (!prefilled) {
		int64_t room = decoding ? (m->kv_tokens - r->kv_used) / decoding : 1;
		int64_t least = r->heaped ? r->heap[0].at - r->steps : 1;
		steps = (int64_t)ceil((until - r->boundary) / took);
		if (steps > least)
			steps = least;
		if (steps > room)
			steps = room;
		if (steps < 1)
			steps = 1;
	}
	r->boundary += took * steps;
	r->busy += took * steps;
	for (i = 0; i < computed; i++)
		first(s, r, r->prefilling[i]);
	r->prefills -= computed;
	memmove(r->prefilling, r->prefilling + computed, r->prefills * sizeof *r->prefilling);
	r->steps += steps;
	tokens = steps * (r->runs - r->prefills);
	r->kv_used += tokens;
	r->generated += tokens;
	while (r->heaped && r->heap[0].at <= r->steps) {
		int32_t id = r->heap[0].id;
		heap_pop(r);
		s->request[id].running = 0;
		r->runs--;
		r->kv_used -= s->prompt[id] + s->output[id];
	}
	return 1;
}

static void advance(struct sim *s, struct replica *r, double until)
{
	/* A step that would begin at `until` waits for what arrives then. */
	while (r->boundary < until)
		if (!step(s, r, until)) {
			r->boundary = until; /* idle: the next arrival finds it waiting */
			break;
		}
}

static struct replica *route(struct sim *s)
{
	struct replica *best = NULL;
	uint32_t least = UINT32_MAX, seen = 0;
	for (int i = 0; i < s->slots; i++) {
		struct replica *r = &s->replicas[i];
		if (!r->alive || !r->open)
			continue;
		s->dice = s->dice * 6364136223846793005u + 1442695040888963407u;
		uint32_t draw = (uint32_t)(s->dice >> 33);
		uint32_t load = s->any_replica ? 0 : (uint32_t)r->runs + waiting(r);
		if (load < least) {
			least = load;
			best = r;
			seen = 1;
		} else if (load == least && draw % ++seen == 0) {
			best = r;
		}
	}
	return best;
}

EXPORT struct sim *sim_new(const struct model *model, const double *arrival, const int32_t *prompt, const int32_t *output,
			   float *first, int64_t requests, uint64_t seed, int any_replica)
{
	struct sim *s = calloc(1, sizeof *s);
	s->model = *model;
	s->arrival = arrival;
	s->prompt = prompt;
	s->output = output;
	s->first = first;
	s->requests = requests;
	s->request = calloc(requests ? requests : 1, sizeof *s->request);
	s->dice = seed;
	s->any_replica = any_replica;
	for (int64_t i = 0; i < requests; i++)
		first[i] = -1;
	return s;
}

EXPORT void sim_open(struct sim *s, int slot, double now)
{
	struct replica *r = &s->replicas[slot];
	memset(r, 0, sizeof *r);
	r->alive = r->open = 1;
	r->boundary = now;
	r->mask = 63;
	r->ring = malloc((r->mask + 1) * sizeof *r->ring);
	r->running = malloc(2 * s->model.max_running * sizeof *r->running);
	r->prefilling = malloc(s->model.max_running * sizeof *r->prefilling);
	r->heap = malloc(s->model.max_running * sizeof *r->heap);
	if (slot >= s->slots)
		s->slots = slot + 1;
}

EXPORT void sim_drain(struct sim *s, int slot)
{
	s->replicas[slot].open = 0;
}

EXPORT void sim_remove(struct sim *s, int slot)
{
	struct replica *r = &s->replicas[slot];
	free(r->ring);
	free(r->running);
	free(r->prefilling);
	free(r->heap);
	memset(r, 0, sizeof *r);
}

/* All arrivals before `until`, and all steps that begin before it. With no open replica they wait in front of all. */
EXPORT void sim_advance(struct sim *s, double until)
{
	while (s->next < s->requests && s->arrival[s->next] < until) {
		int32_t id = (int32_t)s->next;
		double at = s->arrival[id];
		for (int i = 0; i < s->slots; i++)
			if (s->replicas[i].alive)
				advance(s, &s->replicas[i], at);
		struct replica *r = route(s);
		if (!r)
			break;
		if (r->boundary < at)
			r->boundary = at;
		push(r, id, 0);
		s->next++;
	}
	for (int i = 0; i < s->slots; i++)
		if (s->replicas[i].alive)
			advance(s, &s->replicas[i], until);
}

/* running, waiting, KV usage (0 to 1), busy seconds, tokens generated: what an agent reads. */
EXPORT void sim_read(const struct sim *s, int slot, double *out)
{
	const struct replica *r = &s->replicas[slot];
	out[0] = r->runs;
	out[1] = waiting(r);
	out[2] = (double)r->kv_used / s->model.kv_tokens;
	out[3] = r->busy;
	out[4] = (double)r->generated;
}

EXPORT void sim_free(struct sim *s)
{
	for (int i = 0; i < MOST_REPLICAS; i++)
		sim_remove(s, i);
	free(s->request);
	free(s);
}
