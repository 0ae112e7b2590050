// SPDX-License-Identifier: MIT
// Events in C++: enumeration classes, a template, a lambda, threads. They are declared at file scope, used anywhere.
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <queue>
#include <string>
#include <thread>
#include <tracebuf/tracepoint.h>

enum class priority : uint8_t { low, high };

TRACEBUF_EVENT(queue, put, (priority, priority), (const char *, what), (size_t, nr_waiting));
TRACEBUF_EVENT(queue, taken, (const char *, what), (const void *, queue));

namespace work {

template <typename item> class queue {
public:
	void put(item value, priority urgency)
	{
		const std::lock_guard<std::mutex> guard(lock);

		tracebuf_event(queue, put, urgency, value.c_str(), items.size());
		items.push(std::move(value));
		filled.notify_one();
	}

	item take()
	{
		std::unique_lock<std::mutex> guard(lock);

		filled.wait(guard, [this] { return !items.empty(); });
		item value = std::move(items.front());
		items.pop();
		tracebuf_event(queue, taken, value.c_str(), this);
		return value;
	}

private:
	std::mutex lock;
	std::condition_variable filled;
	std::queue<item> items;
};

}

int main()
{
	work::queue<std::string> queue;
	std::thread consumer([&queue] {
		while (queue.take() != "end")
			continue;
	});

	for (int i = 0; i < 100; i++)
		queue.put("job " + std::to_string(i), i % 10 ? priority::low : priority::high);
	queue.put("end", priority::high);
	consumer.join();
	std::puts("done");
	return 0;
}
