#include "run/work_queue.h"

#include "clock.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <iterator>
#include <utility>

namespace interleave {
namespace {

// Whoever measures waits for each result; more would be a mistake.
constexpr std::size_t kProbesMax = 16;

// A run answers all of a flight, so it is as urgent as the most urgent of them.
void MakeAsUrgent(QueueEntry& entry, const Item& item) {
  if (item.deadlineNs != 0 && (entry.deadlineNs == 0 || item.deadlineNs < entry.deadlineNs)) {
    entry.deadlineNs = item.deadlineNs;
  }
  if (PriorityLevel(item.priority) < PriorityLevel(entry.priority)) entry.priority = item.priority;
  entry.ahead = entry.ahead || item.ahead;
}

QueueEntry EntryOf(const QueuedItem& queued) {
  QueueEntry entry{.model = queued.model->slot(),
                   .priority = queued.item.priority,
                   .alone = queued.item.alone || queued.shape.isOdd,
                   .ahead = queued.item.ahead,
                   .rows = std::max<std::int64_t>(1, queued.shape.rows),
                   .lengths = queued.shape.lengths,
                   .mayBePadded = queued.shape.mayBePadded,
                   .shapeKey = queued.shape.shapeKey,
                   .deadlineNs = queued.item.deadlineNs,
                   .enqueuedNs = queued.enqueuedNs};
  if (queued.flight != nullptr) {
    for (const QueuedItem& follower : queued.flight->followers) MakeAsUrgent(entry, follower.item);
  }
  return entry;
}

}  // namespace

WorkQueue::WorkQueue(WorkQueueOptions options)
    : options_(std::move(options)),
      waiters_(new Waiter[options_.cpus.size() + 1]),
      teams_(options_.cpus.size()),
      limits_(kModelSlotsMax),
      predictedEndNs_(options_.cpus.size() + 1) {}

WorkQueue::Pushed WorkQueue::Push(QueuedItem& queued) {
  Waiter* called = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    if (isClosed_) return Pushed::kClosed;
    std::size_t& count = clientItems_[queued.item.clientId];
    if (count >= options_.clientItemsMax) return Pushed::kFull;
    ++count;
    ++unansweredItems_;
    if (const Flight* flight = flights_.Join(queued)) {
      if (flight->isRunning) return Pushed::kJoined;
      MakeAsUrgent(entries_[flight->position], flight->followers.back().item);
      if (flight->followers.back().item.ahead) waiters_[options_.cpus.size()].wake.notify_one();
      return Pushed::kJoined;
    }
    Insert(std::move(queued));
    WakeIdleClaims();
    called = CallFor(entries_.back(), WidthOf(*items_.back().model));
  }
  if (called != nullptr) called->wake.notify_one();
  return Pushed::kAccepted;
}

WorkQueue::Pushed WorkQueue::PushProbe(Probe& probe) {
  Waiter* called = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    if (isClosed_) return Pushed::kClosed;
    if (probes_.size() >= kProbesMax) return Pushed::kFull;
    probes_.push_back(std::move(probe));
    called = CallWaiter(WidthOf(*probes_.back().model));
  }
  if (called != nullptr) called->wake.notify_one();
  return Pushed::kAccepted;
}

std::vector<QueuedItem> WorkQueue::Cancel(std::uint64_t clientId, std::uint64_t itemId) {
  const std::scoped_lock lock(mutex_);
  return RemoveIf(
      [=](const QueuedItem& queued) { return queued.item.clientId == clientId && queued.item.itemId == itemId; });
}

std::vector<QueuedItem> WorkQueue::DropClient(std::uint64_t clientId) {
  const std::scoped_lock lock(mutex_);
  return RemoveIf([=](const QueuedItem& queued) { return queued.item.clientId == clientId; });
}

std::vector<QueuedItem> WorkQueue::TakeExpired(std::int64_t nowNs) {
  const std::scoped_lock lock(mutex_);
  return RemoveExpired(nowNs);
}

std::vector<QueuedItem> WorkQueue::TakeAll() {
  const std::scoped_lock lock(mutex_);
  return RemoveIf([](const QueuedItem&) { return true; });
}

std::vector<QueuedItem> WorkQueue::TakeDuplicates(QueuedItem& leader) {
  if (leader.flight == nullptr) return {};
  const std::scoped_lock lock(mutex_);
  return flights_.Close(leader);
}

void WorkQueue::RequeueDuplicates(QueuedItem& leader) {
  Waiter* called = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    std::optional<QueuedItem> successor = flights_.Succeed(leader);
    if (!successor) return;
    Insert(std::move(*successor));
    WakeIdleClaims();
    called = CallFor(entries_.back(), WidthOf(*items_.back().model));
  }
  if (called != nullptr) called->wake.notify_one();
}

std::vector<Probe> WorkQueue::TakeProbes() {
  const std::scoped_lock lock(mutex_);
  std::vector<Probe> probes(std::move_iterator(probes_.begin()), std::move_iterator(probes_.end()));
  probes_.clear();
  WakeIdleClaims();
  return probes;
}

std::vector<Probe> WorkQueue::TakeProbes(const ServedModel& model) {
  const std::scoped_lock lock(mutex_);
  const auto first = std::stable_partition(probes_.begin(), probes_.end(),
                                           [&](const Probe& probe) { return probe.model.get() != &model; });
  std::vector<Probe> probes;
  std::move(first, probes_.end(), std::back_inserter(probes));
  probes_.erase(first, probes_.end());
  WakeIdleClaims();
  return probes;
}

WorkQueue::Work WorkQueue::Take(std::size_t executor) {
  std::unique_lock lock(mutex_);
  EndRun(executor);
  while (true) {
    const Widths widths = WaitForWork(lock, executor);
    waiters_[executor].isCalled = false;
    Work work = TakeWork(executor, widths);
    if (!work.IsNone() || widths.none()) return work;
  }
}

// None where the neighbours have to be waited for.
WorkQueue::Work WorkQueue::TakeWork(std::size_t executor, const Widths& widths) {
  Work work;
  if (items_.empty() && !probes_.empty() && !IsExpress(executor)) {
    const std::size_t width = WidthOf(*probes_.front().model);
    if (!widths[width] || !TryBegin(executor, width)) return work;
    work.probe = std::move(probes_.front());
    probes_.pop_front();
    WakeIdleClaims();
    return work;
  }
  const std::int64_t nowNs = MonotonicNowNs();
  work.expired = RemoveExpired(nowNs);
  RemoveRun(executor, nowNs, widths, work);
  return work;
}

void WorkQueue::Release(std::uint64_t clientId) {
  const std::scoped_lock lock(mutex_);
  const auto client = clientItems_.find(clientId);
  if (--client->second == 0) clientItems_.erase(client);
}

void WorkQueue::Done() {
  bool isIdle = false;
  {
    const std::scoped_lock lock(mutex_);
    isIdle = --unansweredItems_ == 0;
  }
  if (isIdle) idle_.notify_all();
}

void WorkQueue::Close() {
  {
    const std::scoped_lock lock(mutex_);
    isClosed_ = true;
  }
  for (std::size_t i = 0; i <= options_.cpus.size(); ++i) waiters_[i].wake.notify_one();
}

std::size_t WorkQueue::waitingExecutors() const {
  const std::scoped_lock lock(mutex_);
  return waiting_.size();
}

std::size_t WorkQueue::claimingExecutors() const {
  const std::scoped_lock lock(mutex_);
  return teams_.Claims();
}

bool WorkQueue::WaitUntilIdle(std::int64_t timeoutNs) {
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, std::chrono::nanoseconds(timeoutNs), [this] { return unansweredItems_ == 0; });
}

template <class Predicate>
std::vector<QueuedItem> WorkQueue::RemoveIf(Predicate predicate) {
  std::vector<QueuedItem> removed = flights_.TakeFollowersIf(predicate, [this](const Flight& flight) {
    if (!flight.isRunning) entries_[flight.position] = EntryOf(items_[flight.position]);
  });
  for (std::size_t i = items_.size(); i-- > 0;) {
    if (predicate(items_[i])) removed.push_back(RemoveOrReplaceAt(i));
  }
  if (removed.empty()) return removed;
  UpdateGauges();
  WakeIdleClaims();
  return removed;
}

// Precondition: mutex_ is held. The item may lead a flight that was open before.
void WorkQueue::Insert(QueuedItem queued) {
  QueueGauge& gauge = queued.model->gauge();
  if (gauge.items.fetch_add(1, std::memory_order_relaxed) == 0) {
    gauge.oldestNs.store(queued.enqueuedNs, std::memory_order_relaxed);
    waitingModels_.push_back(queued.model.get());
  }
  ++waitingItems_[WidthOf(*queued.model)];
  flights_.Lead(queued, items_.size());
  entries_.push_back(EntryOf(queued));
  items_.push_back(std::move(queued));
}

// Removes an item that will not run; where it has duplicates one of them takes its place.
QueuedItem WorkQueue::RemoveOrReplaceAt(std::size_t index) {
  std::optional<QueuedItem> successor = flights_.Succeed(items_[index]);
  if (!successor) return RemoveAt(index);
  QueuedItem removed = std::exchange(items_[index], std::move(*successor));
  entries_[index] = EntryOf(items_[index]);
  return removed;
}

// The last item takes the place of the removed one.
QueuedItem WorkQueue::RemoveAt(std::size_t index) {
  QueuedItem removed = std::move(items_[index]);
  --waitingItems_[WidthOf(*removed.model)];
  if (index + 1 < items_.size()) {
    items_[index] = std::move(items_.back());
    entries_[index] = entries_.back();
    if (items_[index].flight != nullptr) items_[index].flight->position = index;
  }
  items_.pop_back();
  entries_.pop_back();
  return removed;
}

std::vector<QueuedItem> WorkQueue::RemoveExpired(std::int64_t nowNs) {
  return RemoveIf(
      [nowNs](const QueuedItem& queued) { return queued.item.deadlineNs != 0 && queued.item.deadlineNs <= nowNs; });
}

void WorkQueue::RemoveRun(std::size_t executor, std::int64_t nowNs, const Widths& widths, Work& work) {
  if (items_.empty()) return;
  for (const ServedModel* model : waitingModels_) limits_[model->slot()] = options_.limits(*model);
  const std::int64_t startedNs = MonotonicNowNs();
  Choice choice = ChooseFor(executor, nowNs, widths);
  work.formationNs = MonotonicNowNs() - startedNs;
  std::vector<std::size_t>& chosen = choice.indices;
  if (chosen.empty()) return;
  if (!IsExpress(executor) && !TryBegin(executor, WidthOf(*items_[chosen[0]].model))) return;
  predictedEndNs_[executor] = nowNs + choice.predictedNs;
  // From the back, so that the indices still to be removed stay valid.
  std::sort(chosen.begin(), chosen.end(), std::greater<>());
  work.items.reserve(chosen.size());
  for (const std::size_t index : chosen) {
    work.items.push_back(RemoveAt(index));
    flights_.Start(work.items.back());
  }
  UpdateGauges();
  WakeIdleClaims();
}

Choice WorkQueue::ChooseFor(std::size_t executor, std::int64_t nowNs, const Widths& widths) const {
  const CoalesceLimits limits{
      .lane = options_.lane, .models = limits_, .executors = options_.cpus.size(), .runningNs = RunningNs(nowNs)};
  // Closed, the others may have ended already when duplicates of what it ran come back.
  const bool onlyAhead = IsExpress(executor) && !isClosed_;
  Widths waiting;
  for (std::size_t width = 1; width < waiting.size(); ++width) waiting[width] = waitingItems_[width] != 0;
  if (!onlyAhead && (waiting & ~widths).none()) return ChooseNext(entries_, nowNs, limits);
  std::vector<QueueEntry> entries;
  std::vector<std::size_t> positions;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if ((onlyAhead && !entries_[i].ahead) || !widths[WidthOf(*items_[i].model)]) continue;
    entries.push_back(entries_[i]);
    positions.push_back(i);
  }
  Choice choice = ChooseNext(entries, nowNs, limits);
  for (std::size_t& index : choice.indices) index = positions[index];
  return choice;
}

std::int64_t WorkQueue::RunningNs(std::int64_t nowNs) const {
  std::int64_t runningNs = 0;
  for (std::size_t i = 0; i < predictedEndNs_.size(); ++i) {
    const auto width = static_cast<std::int64_t>(IsExpress(i) ? 1 : teams_.WidthOf(i));
    runningNs += std::max<std::int64_t>(0, predictedEndNs_[i] - nowNs) * width;
  }
  return runningNs;
}

// Whatever was removed still holds its model.
void WorkQueue::UpdateGauges() {
  struct Waiting {
    std::int64_t items = 0;
    std::int64_t oldestNs = 0;
  };
  std::vector<Waiting> waiting(waitingModels_.size());
  for (std::size_t i = 0; i < waitingModels_.size(); ++i) waitingModels_[i]->gauge().place = i;
  for (const QueuedItem& queued : items_) {
    Waiting& of = waiting[queued.model->gauge().place];
    ++of.items;
    if (of.oldestNs == 0 || queued.enqueuedNs < of.oldestNs) of.oldestNs = queued.enqueuedNs;
  }
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    waitingModels_[i]->gauge().items.store(waiting[i].items, std::memory_order_relaxed);
    waitingModels_[i]->gauge().oldestNs.store(waiting[i].oldestNs, std::memory_order_relaxed);
  }
  std::erase_if(waitingModels_, [&](const ServedModel* model) { return waiting[model->gauge().place].items == 0; });
}

}  // namespace interleave
