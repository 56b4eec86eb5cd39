import { Module } from '@nestjs/common';
import { BatchesModule } from '../../batches/batches.module';
import { DashboardBatchesController } from './dashboard-batches.controller';
import { OperatorBatches } from './operator-batches';

/** `/dashboard/batches`, for operators. */
@Module({ imports: [BatchesModule], controllers: [DashboardBatchesController], providers: [OperatorBatches] })
export class DashboardBatchesModule {}
