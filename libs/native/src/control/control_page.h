// What the scheduler, the live workers and the batch workers of a node tell each other about the batch lane without a
// system call: a page of shared memory for each worker, a file in the run directory.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace interleave {

// All zero, as a new file is: nothing is withheld and nothing runs. What limits the batch lane has a time until which
// it holds, so that a writer that died limits nothing. Times are CLOCK_MONOTONIC. Each part has one writing process.
struct ControlPage {
  // In a batch worker's page; written by the scheduler.
  struct alignas(64) Control {
    std::atomic<std::int64_t> untilNs;
    std::atomic<std::int64_t> heldOffSinceNs;  // 0: not held off; no executor begins a run while it is
    std::atomic<std::uint32_t> withheld;       // executors that begin no run
    std::atomic<std::uint32_t> halvings;       // of the longest predicted run
    std::atomic<std::uint32_t> floorPermille;  // of the time of all executors, used while all are withheld
  } control;
  // In a batch worker's page; written by itself.
  struct alignas(64) Activity {
    std::atomic<std::uint32_t> executors;
    std::atomic<std::uint32_t> running;    // executors with a run under way
    std::atomic<std::int64_t> lastEndNs;   // of a run
    std::atomic<std::uint64_t> runs;       // begun so far
    std::atomic<std::uint64_t> floorRuns;  // of those, begun while all executors were withheld
  } activity;
  // In a live worker's page; written by its bandwidth guard.
  struct alignas(64) Guard {
    std::atomic<std::int64_t> untilNs;
    std::atomic<std::uint32_t> withdrawn;    // executors of each batch worker beside it
    std::atomic<std::uint64_t> withdrawals;  // so far
    std::atomic<double> limit;               // cost above which it acts, as a ratio to the quiet one; 0: not known yet
    std::atomic<double> latest;              // that ratio in the last window; 0: none yet
  } guard;
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free && std::atomic<double>::is_always_lock_free);

inline constexpr std::size_t kControlPageBytes = 4096;
static_assert(sizeof(ControlPage) <= kControlPageBytes);

// A mapping of a page, unmapped on destruction.
class MappedControlPage {
 public:
  // Creates the file when there is none. Throws std::system_error.
  explicit MappedControlPage(const std::string& path);
  MappedControlPage(MappedControlPage&& other) noexcept;
  MappedControlPage& operator=(MappedControlPage&& other) noexcept;
  ~MappedControlPage();

  ControlPage& operator*() const { return *page_; }
  ControlPage* operator->() const { return page_; }

 private:
  ControlPage* page_ = nullptr;
};

}  // namespace interleave
