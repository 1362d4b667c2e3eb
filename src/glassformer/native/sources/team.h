// A few threads that walk through one piece of work together, meeting at barriers.
//
// Not OpenMP: torch brings its own runtime of it, and two in a process wait for each other in circles. A step of
// decoding has some sixty barriers of about a microsecond, so threads wait by looking, not by sleeping; between steps
// they look for a moment and then sleep.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>
#include <immintrin.h>
#include <sched.h>
#include <sys/syscall.h>

namespace glassformer {

constexpr int LOOKS = 4000;           // at a barrier, before the core is offered to others
constexpr int IDLE_LOOKS = 100'000;   // between two pieces of work: about a fifth of a millisecond

class Team {
public:
    explicit Team(int size) : size(size), waiting(0), round(0), begun(new Begun[size]) {}

    // All wait until the last one is here.
    void meet() {
        if (size == 1) return;
        const unsigned mine = round.load(std::memory_order_relaxed);
        if (waiting.fetch_add(1, std::memory_order_acq_rel) == size - 1) {
            waiting.store(0, std::memory_order_relaxed);
            for (int part = 0; part < size; ++part) begun[part].pieces.store(0, std::memory_order_relaxed);
            round.store(mine + 1, std::memory_order_release);
            return;
        }
        for (int looks = 0; round.load(std::memory_order_acquire) == mine; ++looks) {
            if (looks < LOOKS) _mm_pause();
            else sched_yield();
        }
    }

    // Every piece from 0 up to `count` is done: each thread begins with a part of its own, so that it reads weights as
    // one stream, and whoever is done helps others: a core that others use as well takes fewer. Pieces of one call are
    // independent; the caller meets before it uses what they made, and before the next call.
    template <class Piece>
    void share(int64_t count, Piece&& piece) {
        if (size == 1) {
            for (int64_t i = 0; i < count; ++i) piece(i);
            return;
        }
        for (int turn = 0; turn < size; ++turn) {
            const int part = (number_here + turn) % size;
            const int64_t first = part * count / size, end = (part + 1) * count / size;
            for (int64_t i; (i = first + begun[part].pieces.fetch_add(1, std::memory_order_relaxed)) < end;) piece(i);
        }
    }

    static thread_local int number_here;  // of this thread, in the team that it works in
    const int size;

private:
    alignas(64) std::atomic<int> waiting;
    alignas(64) std::atomic<unsigned> round;
    struct alignas(64) Begun {
        std::atomic<int64_t> pieces{0};  // of a thread's part, so far
    };
    std::unique_ptr<Begun[]> begun;
};

inline thread_local int Team::number_here = 0;

// The process's threads. They are made when first asked for, and again in a process that was forked.
class Workers {
public:
    static Workers& all() {
        static Workers* workers = new Workers();  // never destroyed: threads may still look when the process ends
        if (workers->owner != getpid()) workers = new Workers();
        return *workers;
    }

    // `work(team, number)` in so many threads, this one among them. While others use the threads, this one works alone.
    template <class Work>
    void run(int threads, Work&& work) {
        std::unique_lock<std::mutex> alone(busy, std::try_to_lock);
        if (threads <= 1 || !alone.owns_lock()) {
            Team team(1);
            work(team, 0);
            return;
        }
        while (int(made.size()) < threads - 1) {
            const int number = int(made.size()) + 1;
            try {
                ids.push_back(std::make_unique<std::atomic<pid_t>>(0));
                made.emplace_back([this, number, id = ids.back().get()] { wait_for_work(number, *id); });
            } catch (const std::system_error&) {  // the machine gives no more of them
                ids.resize(made.size());
                threads = number;
                break;
            }
            made.back().detach();
            avoided = -1;
        }
        keep_workers_away();
        Team team(threads);
        std::function<void(int)> part = [&](int number) { work(team, number); };
        {
            std::lock_guard<std::mutex> hold(sleeping);
            current = &part;
            wanted = threads - 1;
            done.store(0, std::memory_order_relaxed);
            generation.fetch_add(1, std::memory_order_release);
        }
        awake.notify_all();
        work(team, 0);
        for (int looks = 0; done.load(std::memory_order_acquire) < threads - 1; ++looks) {
            if (looks < LOOKS) _mm_pause();
            else sched_yield();
        }
    }

private:
    Workers() : owner(getpid()) {}

    // Threads that wait for one another by looking must not share a core. Where there are few, the scheduler may well wake
    // a worker on the core of the one who calls, where it waits for a tick of the clock and then takes turns with it. So
    // workers may run anywhere else; said again when the caller has moved.
    void keep_workers_away() {
        const int here = sched_getcpu();
        if (here < 0 || here == avoided) return;
        cpu_set_t others;
        if (sched_getaffinity(0, sizeof others, &others) != 0) return;
        CPU_CLR(here, &others);
        avoided = here;
        if (CPU_COUNT(&others) == 0) return;
        for (const auto& id : ids) {
            if (id->load(std::memory_order_acquire) == 0) avoided = -1;  // it has not begun yet
            else sched_setaffinity(id->load(std::memory_order_relaxed), sizeof others, &others);
        }
    }

    void wait_for_work(int number, std::atomic<pid_t>& id) {
        id.store(pid_t(syscall(SYS_gettid)), std::memory_order_release);
        Team::number_here = number;
        for (unsigned seen = generation_when_made;;) {
            for (int looks = 0; generation.load(std::memory_order_acquire) == seen && looks < IDLE_LOOKS; ++looks)
                _mm_pause();
            std::function<void(int)>* part = nullptr;
            {
                std::unique_lock<std::mutex> hold(sleeping);
                awake.wait(hold, [&] { return generation.load(std::memory_order_acquire) != seen; });
                seen = generation.load(std::memory_order_acquire);
                if (number <= wanted) part = current;
            }
            if (part == nullptr) continue;
            (*part)(number);
            done.fetch_add(1, std::memory_order_release);
        }
    }

    const pid_t owner;
    const unsigned generation_when_made = 0;
    std::mutex busy, sleeping;
    std::condition_variable awake;
    std::vector<std::thread> made;
    std::vector<std::unique_ptr<std::atomic<pid_t>>> ids;  // the system's names of them, as far as they have begun
    int avoided = -1;                                      // the core that they keep away from
    std::function<void(int)>* current = nullptr;
    int wanted = 0;
    std::atomic<int> done{0};
    std::atomic<unsigned> generation{0};
};

}  // namespace glassformer
