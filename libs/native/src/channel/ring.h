// Single-producer, single-consumer rings over shared memory, and the sleep word that suppresses needless wake-ups.
// Nothing here blocks or allocates.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "channel/layout.h"

namespace interleave {

// The producing end. Its own position is private; the shared word only publishes it.
template <typename Cell>
class RingProducer {
 public:
  // `capacity` is a power of two; `cells`, `head` and `tail` outlive the producer.
  RingProducer(std::byte* cells, std::uint32_t capacity, std::uint64_t* head, std::uint64_t* tail)
      : cells_(cells), capacity_(capacity), head_(head), tail_(tail) {}

  // Cells that can be written now; nullopt when the consumer's position is impossible (it broke the protocol). The
  // shared position is only read again when fewer than `wanted` cells are known to be free.
  std::optional<std::uint32_t> Room(std::uint32_t wanted) {
    if (capacity_ - (next_ - knownHead_) < wanted) {
      // Acquire: pairs with the release store in RingConsumer::Release; the cells before it may be overwritten.
      const std::uint64_t head = std::atomic_ref(*head_).load(std::memory_order_acquire);
      if (next_ - head > capacity_ || head - knownHead_ > capacity_) return std::nullopt;
      knownHead_ = head;
    }
    return capacity_ - static_cast<std::uint32_t>(next_ - knownHead_);
  }

  // Precondition: Room() said that there is room. Not visible to the consumer before Publish().
  void Write(const Cell& cell) {
    CopyOut(cells_ + (next_ & (capacity_ - 1)) * sizeof(Cell), cell);
    ++next_;
  }

  // Release: pairs with the acquire load in RingConsumer::Available. Seq_cst: see SleepWord.
  void Publish() { std::atomic_ref(*tail_).store(next_, std::memory_order_seq_cst); }

  // Cells written since the start.
  std::uint64_t position() const { return next_; }

 private:
  std::byte* const cells_;
  const std::uint32_t capacity_;
  std::uint64_t* const head_;
  std::uint64_t* const tail_;
  std::uint64_t next_ = 0;
  std::uint64_t knownHead_ = 0;
};

// The consuming end.
template <typename Cell>
class RingConsumer {
 public:
  RingConsumer(const std::byte* cells, std::uint32_t capacity, std::uint64_t* head, std::uint64_t* tail)
      : cells_(cells), capacity_(capacity), head_(head), tail_(tail) {}

  // Cells that can be read; nullopt when the producer's position is impossible (it broke the protocol).
  std::optional<std::uint32_t> Available() const {
    // Acquire: pairs with the store in RingProducer::Publish. Seq_cst: see SleepWord.
    const std::uint64_t ready = std::atomic_ref(*tail_).load(std::memory_order_seq_cst) - next_;
    if (ready > capacity_) return std::nullopt;
    return static_cast<std::uint32_t>(ready);
  }

  // Precondition: Available() > 0. A private copy of the next cell.
  Cell Read() {
    const Cell cell = CopyIn<Cell>(cells_ + (next_ & (capacity_ - 1)) * sizeof(Cell));
    ++next_;
    return cell;
  }

  // Gives the cells that were read back to the producer. Release: pairs with the acquire load in RingProducer::Room.
  void Release() { std::atomic_ref(*head_).store(next_, std::memory_order_release); }

 private:
  const std::byte* const cells_;
  const std::uint32_t capacity_;
  std::uint64_t* const head_;
  std::uint64_t* const tail_;
  std::uint64_t next_ = 0;
};

// Whether the consumer of a ring sleeps: odd = asleep. Written by the consumer only; each sleep has a number of its
// own, so that one sleep costs at most one doorbell.
//
// No wake-up is lost, because four operations are sequentially consistent: the producer stores the tail (1), then loads
// this word (2); the consumer stores this word (3), then loads the tail (4). If (4) does not see the new tail, then
// (3) < (4) < (1) < (2) in their single total order, so (2) sees the consumer asleep and the producer rings.
//
// (2) may also see a sleep that began after the consumer had taken the cells of (1): that doorbell finds nothing. It
// was the only one for that sleep, so whoever takes a doorbell wakes (Rung) and, if it finds nothing, begins a new
// sleep.
class SleepWord {
 public:
  explicit SleepWord(std::uint64_t* word) : word_(word) {}

  // Call RingConsumer::Available() afterwards and Wake() if it is not 0.
  void Sleep() { Set(value_ | 1); }
  void Wake() { Set((value_ + 1) & ~std::uint64_t{1}); }
  // Call after reading a doorbell, before RingConsumer::Available().
  void Rung() {
    if (asleep()) Wake();
  }
  bool asleep() const { return (value_ & 1) != 0; }

 private:
  void Set(std::uint64_t value) {
    value_ = value;
    std::atomic_ref(*word_).store(value, std::memory_order_seq_cst);
  }

  std::uint64_t* const word_;
  std::uint64_t value_ = 0;
};

// The producer's view of the peer's SleepWord.
class Waker {
 public:
  explicit Waker(std::uint64_t* word) : word_(word) {}

  // Call after RingProducer::Publish(). True at most once for each sleep of the peer: the caller must ring then.
  bool ShouldRing() {
    const std::uint64_t value = std::atomic_ref(*word_).load(std::memory_order_seq_cst);
    if ((value & 1) == 0 || value == rung_) return false;
    rung_ = value;
    return true;
  }

 private:
  std::uint64_t* const word_;
  std::uint64_t rung_ = 0;
};

}  // namespace interleave
