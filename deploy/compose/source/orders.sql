-- One moment of the shop: new orders, and what becomes of older ones. Few rows, each a transaction
-- of its own, the way an application does it.
INSERT INTO public.orders (customer, status, amount, note)
SELECT (ARRAY['Ana', 'José', 'Zoë', 'O''Brien', '伟'])[1 + floor(random() * 5)::int] || ' #' || floor(random() * 700)::int,
       'pending', round((1 + random() * 4999)::numeric, 2), CASE WHEN random() < 0.3 THEN 'gift' END
  FROM generate_series(1, 1 + floor(random() * 3)::int);

UPDATE public.orders SET status = 'confirmed'
 WHERE id IN (SELECT id FROM public.orders WHERE status = 'pending' ORDER BY id DESC LIMIT 2);

UPDATE public.orders SET amount = amount + 1, note = 'amended'
 WHERE id = (SELECT id FROM public.orders WHERE status = 'confirmed' ORDER BY id DESC LIMIT 1);

-- These leave the filter: the target loses them.
UPDATE public.orders SET status = CASE WHEN random() < 0.7 THEN 'shipped' ELSE 'cancelled' END
 WHERE random() < 0.5
   AND id = (SELECT id FROM public.orders WHERE status = 'confirmed' ORDER BY updated_at LIMIT 1);
