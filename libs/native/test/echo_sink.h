// A stand-in for the executors: real threads, real channel, no ONNX Runtime.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "clock.h"
#include "item.h"

namespace interleave {

// Revision 1 answers with its inputs. Revision 2 obeys its first input, int64 [command, argument].
enum class EchoCommand : std::int64_t {
  kAbort = 1,   // kills the process
  kHold = 2,    // does not answer before the client is gone or the sink is closed
  kFail = 3,    // answers with ItemStatus `argument`
  kOutput = 4,  // answers with `argument` bytes of uint8
  kDrop = 5,    // destroys the responder
};

class EchoSink final : public ItemSink {
 public:
  struct Started {
    std::uint64_t clientId;
    std::uint64_t itemId;
    bool alone;
    std::uint8_t priority;
  };

  // `onStarted` is called on an executor thread when an item starts to run; may be empty.
  explicit EchoSink(int executors, bool open = true, std::function<void(const Started&)> onStarted = {})
      : onStarted_(std::move(onStarted)), open_(open) {
    for (int i = 0; i < executors; ++i) threads_.emplace_back([this] { Work(); });
  }

  ~EchoSink() override { Close(); }

  // Ends the executors; what still waits is dropped. Idempotent.
  void Close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    const std::lock_guard lock(mutex_);
    queue_.clear();
  }

  // The gate: while it is shut, items wait.
  void SetOpen(bool open) {
    {
      const std::lock_guard lock(mutex_);
      open_ = open;
    }
    changed_.notify_all();
  }

  void WaitUntilQueued(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return queue_.size() >= count; });
  }

  void WaitUntilGone(std::size_t clients) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return gone_.size() >= clients; });
  }

  std::uint64_t itemsRun() {
    const std::lock_guard lock(mutex_);
    return itemsRun_;
  }

  void OnItem(Item item) override {
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(item));
    }
    changed_.notify_all();
  }

  void OnCancel(std::uint64_t clientId, std::uint64_t itemId) override {
    Item cancelled;
    {
      const std::lock_guard lock(mutex_);
      for (auto entry = queue_.begin(); entry != queue_.end(); ++entry) {
        if (entry->clientId != clientId || entry->itemId != itemId) continue;
        cancelled = std::move(*entry);
        queue_.erase(entry);
        break;
      }
    }
    if (cancelled.responder) cancelled.responder->Fail(ItemStatus::kCancelled, "cancelled");
  }

  void OnClientGone(std::uint64_t clientId) override {
    std::deque<Item> dropped;
    {
      const std::lock_guard lock(mutex_);
      gone_.insert(clientId);
      std::deque<Item> kept;
      for (Item& item : queue_) (item.clientId == clientId ? dropped : kept).push_back(std::move(item));
      queue_.swap(kept);
    }
    changed_.notify_all();
  }

 private:
  void Work() {
    for (;;) {
      Item item;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return closed_ || (open_ && !queue_.empty()); });
        if (closed_) return;
        item = std::move(queue_.front());
        queue_.pop_front();
        ++itemsRun_;
      }
      Run(item);
    }
  }

  void Run(Item& item) {
    if (item.deadlineNs != 0 && item.deadlineNs < MonotonicNowNs()) {
      item.responder->Fail(ItemStatus::kDeadlineExceeded, "too late");
      return;
    }
    item.responder->MarkRunning();
    if (onStarted_) onStarted_({item.clientId, item.itemId, item.alone, item.priority});
    if (item.revision == 1) return Echo(item);
    if (item.revision == 2 && !item.inputs.empty() && item.inputs[0].bytes >= 16) return Obey(item);
    item.responder->Fail(ItemStatus::kInvalid, "no such model");
  }

  void Echo(Item& item) {
    std::size_t bytes = 0;
    for (const TensorView& input : item.inputs) bytes += input.bytes;
    for (const TensorView& input : item.inputs) {
      if (item.outputMask != 0 && (item.outputMask >> input.index & 1) == 0) continue;
      std::byte* data = item.responder->AddOutput(input.index, input.type, input.shape, input.bytes);
      if (data == nullptr) {
        item.responder->Fail(ItemStatus::kResponseTooLarge, std::to_string(bytes));
        return;
      }
      if (input.bytes > 0) std::memcpy(data, input.data, input.bytes);
    }
    Finish(item);
  }

  void Obey(Item& item) {
    std::int64_t words[2];
    std::memcpy(words, item.inputs[0].data, sizeof words);
    switch (static_cast<EchoCommand>(words[0])) {
      case EchoCommand::kAbort:
        std::_Exit(3);
      case EchoCommand::kHold:
        return Hold(item);
      case EchoCommand::kFail:
        return item.responder->Fail(static_cast<ItemStatus>(words[1]), "as told");
      case EchoCommand::kDrop:
        return item.responder.reset();
      case EchoCommand::kOutput:
        break;
    }
    Shape shape;
    shape.rank = 1;
    shape.dims[0] = words[1];
    const auto bytes = static_cast<std::size_t>(words[1]);
    std::byte* data = item.responder->AddOutput(0, ElementType::kUint8, shape, bytes);
    if (data == nullptr) return item.responder->Fail(ItemStatus::kResponseTooLarge, std::to_string(bytes));
    std::memset(data, 7, bytes);
    Finish(item);
  }

  void Hold(Item& item) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || gone_.count(item.clientId) != 0; });
  }

  void Finish(Item& item) {
    ItemTimes times;
    times.enqueuedNs = times.startedNs = times.endedNs = MonotonicNowNs();
    times.runRows = 1;
    item.responder->Finish(times);
  }

  const std::function<void(const Started&)> onStarted_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> queue_;
  std::set<std::uint64_t> gone_;
  std::uint64_t itemsRun_ = 0;
  bool open_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace interleave
