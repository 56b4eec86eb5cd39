// What a worker shows to whoever watches it from outside: that its threads get to run, what they run, and what killed
// it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "run/queued_item.h"

namespace interleave {

// What a thread does with a model. Numbers of apps/scheduler/src/supervision/heartbeat-file.ts.
enum class Phase : std::uint8_t { kRunning, kLoading, kProbing, kMeasuring };

// A page of 64-bit words in the byte order of the machine, shared with the scheduler, which reads it while the worker
// lives and after its death (apps/scheduler/src/supervision/heartbeat-file.ts):
//
//   word 0        beats: grows by 1 every 100 ms, from 1 on
//   word 1        culprit: what killed the process, as below; 0: not known
//   word 2 + 2 i  what slot i is busy with: revision of the model, from bit 32 on the Phase; 0: nothing
//   word 3 + 2 i  since when, in ns of CLOCK_MONOTONIC
//
// The beats come from a thread of ordinary priority that shares no lock with any other: neither a busy event loop nor
// executors that the kernel holds back keep it from beating.
class Heartbeat {
 public:
  // `fd`: the page's file, of at least (2 + 2 slots) words, stays the caller's; negative: nobody watches. Throws
  // std::system_error.
  Heartbeat(int fd, std::size_t slotsCount);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  // Slot `slot` is busy with model `revision`, which is positive, from construction to destruction, both on the thread
  // that does the work: a fatal signal of that thread makes the model the culprit. Not nested.
  class Activity {
   public:
    Activity(Heartbeat& heartbeat, std::size_t slot, std::uint32_t revision, Phase phase);
    ~Activity();
    Activity(const Activity&) = delete;
    Activity& operator=(const Activity&) = delete;

    // Goes on with the same model.
    void Enter(Phase phase);

    // It runs these, which outlive it: a fatal signal of this thread is their fault.
    void Run(std::span<QueuedItem* const> items) { items_ = items; }

    // As Heartbeat::Blame. May be called in a signal handler.
    void TakeBlame() const;
    std::uint32_t revision() const { return revision_; }

   private:
    Heartbeat& heartbeat_;
    const std::size_t slot_;
    const std::uint32_t revision_;
    std::span<QueuedItem* const> items_;
  };

  // The calling thread, which is to live on, computes for runs of `revision`: those of slot `leader`, or of whichever
  // slot is busy with it. A fatal signal of it is one of that slot's thread.
  void Help(std::uint32_t revision, std::size_t leader);

  // What slot `likely` or else another one does with the revision; null: nothing. May be called in a signal handler.
  const Activity* ActivityWith(std::uint32_t revision, std::size_t likely) const;

  // What `slot` is busy with is about to cost the process its life. Any thread; the activity must last until it
  // returns.
  void Blame(std::size_t slot);

 private:
  using Word = std::atomic<std::uint64_t>;
  Word& ActivityOf(std::size_t slot) { return words_[2 + 2 * slot]; }
  Word& SinceOf(std::size_t slot) { return words_[3 + 2 * slot]; }
  void Loop();

  const std::size_t bytes_;
  Word* const words_;
  std::vector<std::atomic<const Activity*>> activities_;  // by slot; null: it does nothing
  std::mutex mutex_;                                      // guards isStopping_
  std::condition_variable stop_;
  bool isStopping_ = false;
  std::thread thread_;
};

}  // namespace interleave
