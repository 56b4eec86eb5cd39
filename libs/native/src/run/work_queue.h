// The items that wait for an executor. Bounded per client; every item leaves it exactly once: in a run, or as dead.
#pragma once

#include <array>
#include <bitset>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "coalesce/coalescer.h"
#include "control/run_gate.h"
#include "run/flights.h"
#include "run/queued_item.h"
#include "run/served_model.h"
#include "run/teams.h"

namespace interleave {

// What one run costs on made-up inputs; an empty error: measured.
struct ProbeResult {
  std::int64_t cpuNs = 0;  // of the executor's thread; on a GPU wall-clock time
  std::string error{};
};

// A run that is made only to see what it costs; see MakeProbeItem.
struct Probe {
  std::shared_ptr<ServedModel> model{};
  std::int64_t rows = 1;
  std::int64_t length = 1;
  // Gives back to the system what runs of this model have grown its memory to.
  bool trims = false;
  // Called once, on an executor or on the thread that closes the queue; must be quick.
  std::function<void(const ProbeResult&)> done;
};

struct WorkQueueOptions {
  Lane lane = Lane::kRealtime;
  // Items of one client that wait or run; at least 1.
  std::size_t clientItemsMax = 0;
  // The CPU of each executor, of each thread that calls Take but one: the express executor, number `cpus.size()`, has
  // none of its own and takes only what goes ahead, until the queue is closed.
  std::vector<int> cpus{};
  // The limits of a model; called with the queue locked, must be quick.
  std::function<ModelLimits(const ServedModel&)> limits;
  // Null: every executor may take a run at any time. Outlives the queue.
  RunGate* gate = nullptr;
};

// Thread-safe. Never answers an item itself: what must be answered is handed to the caller, who does so without the
// queue's lock: Release, then the answer (the client may send its next item at once), then Done.
class WorkQueue {
 public:
  explicit WorkQueue(WorkQueueOptions options);

  // kJoined: accepted as the duplicate of an item that waits or runs, with which it is answered; see flights.h.
  enum class Pushed { kAccepted, kJoined, kFull, kClosed };
  // On kFull and kClosed `queued` is left as it was.
  Pushed Push(QueuedItem& queued);

  // Has the probe run when nothing else waits.
  Pushed PushProbe(Probe& probe);

  // Takes a waiting item out; empty when it does not wait (any more).
  std::vector<QueuedItem> Cancel(std::uint64_t clientId, std::uint64_t itemId);
  std::vector<QueuedItem> DropClient(std::uint64_t clientId);

  struct Work {
    std::vector<QueuedItem> items;    // of one model
    std::vector<QueuedItem> expired;  // their deadline has passed
    std::optional<Probe> probe;       // only when there is nothing else
    std::int64_t formationNs = 0;     // how long the policy took to choose the run
    bool IsNone() const { return items.empty() && expired.empty() && !probe; }
  };
  // Waits for work, and until the gate lets the executor have it; none exactly when the queue is closed and holds
  // nothing that the executor can run. A run of a model with executorThreads above 1 goes to the leader of a team
  // (teams.h), whose other executors wait until it is over. `executor` is a position in `cpus`, or that of the express
  // executor; each one calls from its own thread, and whatever it ran is over.
  Work Take(std::size_t executor);

  // Items whose deadline has passed, for a caller that comes by when no executor does.
  std::vector<QueuedItem> TakeExpired(std::int64_t nowNs);

  // The duplicates of an item of a run that is about to be answered, to be answered like it.
  std::vector<QueuedItem> TakeDuplicates(QueuedItem& leader);
  // The item of a run is about to be answered without a run: its duplicates wait again.
  void RequeueDuplicates(QueuedItem& leader);

  // An item of this client that was taken out is about to be answered: it no longer counts against the client.
  void Release(std::uint64_t clientId);
  // An item that was taken out has been answered.
  void Done();

  // Refuses new items from now on; Take ends when nothing waits any more.
  void Close();
  // Everything that still waits.
  std::vector<QueuedItem> TakeAll();
  std::vector<Probe> TakeProbes();
  // Those of one model.
  std::vector<Probe> TakeProbes(const ServedModel& model);
  // Every accepted item has been answered; false when that is not so within `timeoutNs`.
  bool WaitUntilIdle(std::int64_t timeoutNs);

  std::size_t waitingExecutors() const;
  // Leaders that wait for neighbours.
  std::size_t claimingExecutors() const;

 private:
  // What one executor sleeps on.
  struct Waiter {
    std::condition_variable wake;
    bool isCalled = false;
  };

  // Widths of runs, by number of threads.
  using Widths = std::bitset<kExecutorThreadsMax + 1>;

  static std::size_t WidthOf(const ServedModel& model) { return model.plan().executorThreads; }
  Waiter* Call(std::vector<std::size_t>::iterator waiting);
  Waiter* CallWaiter(std::size_t width);
  Waiter* CallFor(const QueueEntry& entry, std::size_t width);
  // Calls executors that wait and can do something of what waits: those of `count` from `first` on, or one of all.
  void CallMembers(std::size_t first, std::size_t count);
  void PassCallOn();
  void WakeIdleClaims();
  bool IsAble(std::size_t executor) const { return LedBy(executor).any() && teams_.IsFree(executor); }
  // Of runs that wait, those that the executor leads; and those of them that it may begin now.
  Widths LedBy(std::size_t executor) const;
  Widths Allowed(std::size_t executor, const Widths& led) const;
  // Something waits that an executor with a claim has claimed its neighbours for.
  bool IsClaimWanted(std::size_t executor) const { return LedBy(executor)[teams_.ClaimOf(executor)]; }
  // False: its neighbours are busy, and are claimed.
  bool TryBegin(std::size_t executor, std::size_t width);
  void EndRun(std::size_t executor);
  void DropClaim(std::size_t executor);
  bool IsExpress(std::size_t executor) const { return executor == options_.cpus.size(); }
  bool HasAhead() const;
  Widths WaitForWork(std::unique_lock<std::mutex>& lock, std::size_t executor);
  void Sleep(std::unique_lock<std::mutex>& lock, std::size_t executor);
  void WaitForGate(std::unique_lock<std::mutex>& lock, std::size_t executor);
  template <class Predicate>
  std::vector<QueuedItem> RemoveIf(Predicate predicate);
  void Insert(QueuedItem queued);
  QueuedItem RemoveAt(std::size_t index);
  QueuedItem RemoveOrReplaceAt(std::size_t index);
  std::vector<QueuedItem> RemoveExpired(std::int64_t nowNs);
  Work TakeWork(std::size_t executor, const Widths& widths);
  void RemoveRun(std::size_t executor, std::int64_t nowNs, const Widths& widths, Work& work);
  Choice ChooseFor(std::size_t executor, std::int64_t nowNs, const Widths& widths) const;
  // What the runs under way still have to do, by their predictions.
  std::int64_t RunningNs(std::int64_t nowNs) const;
  void UpdateGauges();

  const WorkQueueOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::unique_ptr<Waiter[]> waiters_;  // by executor
  // Guarded by mutex_, as `isCalled` of the waiters. `entries_[i]` is what the coalescer sees of `items_[i]`; the order
  // means nothing.
  std::vector<std::size_t> waiting_;                                 // executors, the one that began last at the end
  Teams teams_;                                                      // without the express executor
  std::array<std::size_t, kExecutorThreadsMax + 1> waitingItems_{};  // by width of their runs
  std::vector<QueueEntry> entries_;
  std::vector<QueuedItem> items_;
  Flights flights_;
  // What the coalescer knows the models by are their slots; only those of models that have waiting items are up to
  // date.
  std::vector<ModelLimits> limits_;
  // Models whose gauge is not zero: those with waiting items. The items keep them.
  std::vector<ServedModel*> waitingModels_;
  std::vector<std::int64_t> predictedEndNs_;  // by executor; 0: it runs nothing
  std::deque<Probe> probes_;
  std::unordered_map<std::uint64_t, std::size_t> clientItems_;  // waiting and running; no zeros
  std::size_t unansweredItems_ = 0;
  bool isClosed_ = false;
};

}  // namespace interleave
