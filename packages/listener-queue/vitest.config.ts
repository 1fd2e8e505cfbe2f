import { suite } from '@tasks/dev-config/vitest'

export default suite({ name: 'listener-queue' })
