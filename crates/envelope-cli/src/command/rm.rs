//! `envelope rm`: deletes objects.

use crate::{
    args::Rm,
    failure::Failure,
    remote::{object, waiter},
};

pub(crate) fn run(args: &Rm) -> Result<(), Failure> {
    let waiter = waiter()?;
    for address in &args.objects {
        object(address)?;
    }
    for address in &args.objects {
        let store = args.bucket.store(&address.place)?;
        waiter.wait(store.delete(&address.key))?;
    }
    Ok(())
}
